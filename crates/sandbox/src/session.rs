//! What the commands work with: the two ways to the service, opened when they are first needed, and the screen.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jobs_protocol::ThingName;
use jobs_protocol::topic::RequestTopic;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cli::Flags;
use crate::control::{Call, Control, ControlError};
use crate::device::{self, Device, DeviceError, News, StartError};
use crate::json::{Json, NotJson};
use crate::names::Names;
use crate::place::{Place, PlaceError};
use crate::screen::Screen;

/// News that may wait for a command. Who hears them asks the service for the truth, so one that is dropped does no harm.
const HEARING: usize = 64;

/// The service and the thing, as one user of the sandbox has them.
pub(crate) struct Session {
    place: Place,
    events: bool,
    pub(crate) screen: Arc<Screen>,
    pub(crate) names: Arc<Names>,
    hearers: Arc<Mutex<Vec<SyncSender<News>>>>,
    control: OnceLock<Control>,
    device: OnceLock<Device>,
    thing_arn: OnceLock<String>,
}

/// Why a command has not done what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the answer to {operation} cannot be understood")]
    Strange { operation: &'static str, source: NotJson },
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thing {
    thing_arn: String,
}

impl Session {
    /// Opens nothing yet.
    pub(crate) fn new(flags: &Flags, screen: Arc<Screen>) -> Result<Self, PlaceError> {
        Ok(Self {
            place: Place::find(flags)?,
            events: flags.events,
            screen,
            names: Arc::default(),
            hearers: Arc::default(),
            control: OnceLock::new(),
            device: OnceLock::new(),
            thing_arn: OnceLock::new(),
        })
    }

    /// The thing that is acted for.
    pub(crate) fn thing(&self) -> Result<&ThingName, PlaceError> {
        self.place.thing()
    }

    /// Calls the control plane.
    pub(crate) fn control(&self, call: &Call<'_>) -> Result<Json, CommandError> {
        if self.control.get().is_none() {
            let control = Control::new(self.place.control()?)?;
            // Another thread may have been quicker: then its own is as good.
            let _ = self.control.set(control);
        }
        let control = self.control.get().expect("it has just been set");
        let json = control.call(call)?;
        self.names.learn(&json);
        Ok(json)
    }

    /// Asks as the device.
    pub(crate) fn ask(&self, request: RequestTopic, body: Map<String, Value>) -> Result<Json, CommandError> {
        let json = self.device()?.ask(request, body)?;
        self.names.learn(&json);
        Ok(json)
    }

    /// The connection of the device. Commands come from one thread, so it is made once.
    pub(crate) fn device(&self) -> Result<&Device, CommandError> {
        if let Some(device) = self.device.get() {
            return Ok(device);
        }
        let thing = self.place.thing()?.clone();
        let mut settings = self.place.device()?;
        settings.filters = device::filters(&thing, self.events);
        if self.events {
            self.control(&Call::UpdateEventConfigurations)?;
        }
        let (screen, names, hearers) =
            (Arc::clone(&self.screen), Arc::clone(&self.names), Arc::clone(&self.hearers));
        let device = Device::start(settings, thing, move |news| {
            if let News::Event(_, json) = &news {
                names.learn(json);
            }
            let mut hearers = hearers.lock().unwrap_or_else(PoisonError::into_inner);
            hearers.retain(|hearer| {
                !matches!(hearer.try_send(news.clone()), Err(mpsc::TrySendError::Disconnected(_)))
            });
            drop(hearers);
            screen.news(&news);
        })?;
        Ok(self.device.get_or_init(|| device))
    }

    /// The news from now on.
    pub(crate) fn hear(&self) -> Receiver<News> {
        let (sender, receiver) = mpsc::sync_channel(HEARING);
        self.hearers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// The thing's ARN. If there is no such thing, it is created.
    pub(crate) fn thing_arn(&self) -> Result<&str, CommandError> {
        if let Some(arn) = self.thing_arn.get() {
            return Ok(arn);
        }
        let thing = self.place.thing()?;
        let (operation, json) = match self.control(&Call::DescribeThing { thing }) {
            Err(CommandError::Control(error)) if error.is_not_found() => {
                let json = self.control(&Call::CreateThing { thing })?;
                self.screen.note(&format!("There was no thing {thing}; it has been created."));
                ("CreateThing", json)
            }
            found => ("DescribeThing", found?),
        };
        let found: Thing = understood(operation, &json)?;
        Ok(self.thing_arn.get_or_init(|| found.thing_arn))
    }
}

/// Takes an answer apart.
pub(crate) fn understood<T: DeserializeOwned>(
    operation: &'static str,
    json: &Json,
) -> Result<T, CommandError> {
    json.parse().map_err(|source| CommandError::Strange { operation, source })
}
