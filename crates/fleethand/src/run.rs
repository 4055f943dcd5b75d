//! From the command line to the loop: everything that can be wrong is found here, before the first connection,
//! and has its exit code here.

use std::io;
use std::time::Duration;

use agent_core::journal::Record;
use agent_core::{Agent, Settings};

use crate::chain::Chain;
use crate::clock_watch::ClockWatch;
use crate::config::{self, Config, ConfigError, Flags, Remark, Surroundings};
use crate::device_facts;
use crate::exit::Exit;
use crate::handlers::{self, Handlers};
use crate::journal_file::{JournalError, JournalFile, SaveError};
use crate::link::{self, Link, LinkError};
use crate::notify::Notify;
use crate::perform::Hands;
use crate::shell::Shell;
use crate::signals::Signals;
use crate::state_dir::{StateDir, StateDirError};
use crate::telemetry::{self, Log};

/// Why the daemon does not start, or has ended.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    State(#[from] StateDirError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the directory of the runs cannot be used")]
    Runs(#[source] handler_runner::OpenError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the kernel does not tell which boot this is")]
    Boot(#[source] io::Error),
    #[error("the runtime cannot be set up")]
    Runtime(#[source] io::Error),
    #[error("stopped, because what happens next must not happen unsaved")]
    Save(#[source] SaveError),
}

impl RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::State(error) => error.exit(),
            Self::Save(SaveError::Encode(_)) => Exit::Software,
            Self::Journal(_) | Self::Runs(_) | Self::Save(_) => Exit::Storage,
            Self::Link(_) => Exit::Config,
            Self::Random(_) | Self::Boot(_) | Self::Runtime(_) => Exit::Temporary,
        }
    }
}

/// Runs the daemon until it is asked to end. Everything there is to say has been logged when it returns.
pub(crate) fn run(flags: &Flags) -> Result<(), Exit> {
    let loaded = match config::load(flags, &Surroundings::of_this_process()) {
        Ok(loaded) => loaded,
        Err(error) => {
            telemetry::start(&telemetry::before_configuration());
            say(&error);
            return Err(Exit::Config);
        }
    };
    let log = telemetry::start(&loaded.config.logging);
    warn(&loaded.notices);
    warn(&loaded.faults);
    warn(&handlers::faults(&loaded.config.jobs));
    serve(&loaded.config, log).map_err(|error| {
        tracing::error!("{}", Chain(&error));
        error.exit()
    })
}

fn say(error: &ConfigError) {
    tracing::error!("{}", Chain(error));
    if let ConfigError::Complaints { complaints, faults, notices } = error {
        for complaint in complaints {
            tracing::error!("{complaint}");
        }
        warn(faults);
        warn(notices);
    }
}

fn warn(remarks: &[Remark]) {
    for remark in remarks {
        tracing::warn!("{remark}");
    }
}

fn serve(config: &Config, log: Log) -> Result<(), RunError> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), thing = %config.thing_name, endpoint = %config.endpoint,
        port = config.port, "Fleethand starts"
    );
    if !config.jobs.enabled {
        tracing::warn!("jobs.enabled is false: there is nothing to connect for, and no job will be taken");
    }
    let tls = link::credentials(config)?;
    let state = StateDir::take()?;
    let (mut journal, mut saved) = JournalFile::open(state.path())?;
    let mut handlers = Handlers::open(&config.jobs, state.path()).map_err(RunError::Runs)?;
    for run in handlers.left() {
        let Some(record) = saved.lost_start(run) else { continue };
        tracing::error!(%run, "The disk has lost that this run was started: it is written down again");
        journal.save(&record).map_err(RunError::Save)?;
        saved.apply(&record);
    }
    if handlers.files_are_gone(&saved) {
        tracing::error!(
            "What was kept of the running handler has been removed: nobody knows what has become of it"
        );
        journal.save(&Record::Damaged).map_err(RunError::Save)?;
        saved.apply(&Record::Damaged);
    }
    let boot = handler_runner::boot_id().map_err(RunError::Boot)?;
    let seed = getrandom::u64().map_err(RunError::Random)?;
    // A thread is needed to resolve names, now and then.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_secs(1))
        .build();
    runtime.map_err(RunError::Runtime)?.block_on(async {
        let signals = Signals::catch().map_err(RunError::Runtime)?;
        handlers.end_orphans(&saved, config.jobs.grace).await;
        // Another part of the same draw, so that the two do not roll the same dice.
        let link = Link::start(config, tls, seed.rotate_left(32))?;
        let clock_watch = ClockWatch::start();
        if let Err(error) = &clock_watch {
            tracing::debug!(%error, "The system does not tell when the clock is set");
        }
        let shell = Shell {
            agent: Agent::new(core_settings(config), saved, boot.into(), seed),
            hands: Hands::new(journal, link, handlers),
            signals,
            clock_watch: clock_watch.ok(),
            notify: Notify::of_this_process(),
            log,
        };
        shell.run().await.map_err(RunError::Save)
    })?;
    tracing::info!("Fleethand ends");
    Ok(())
}

/// The part of the configuration on which decisions rest.
fn core_settings(config: &Config) -> Settings {
    let jobs = &config.jobs;
    Settings {
        thing_name: config.thing_name.clone(),
        facts: device_facts::all(config),
        environment: jobs.environment.clone().into_iter().collect(),
        default_allow_std_err_flat: jobs.allow_std_err_flat,
        default_allow_std_err_step: jobs.allow_std_err_step,
        user_argument_flat: jobs.user_argument_flat,
        user_argument_steps: jobs.user_argument_steps,
        step_timeout: jobs.step_timeout,
        grace: jobs.grace,
        handlers: jobs.handlers.clone(),
        on_stop: jobs.on_stop,
        final_step: jobs.final_step,
        details: jobs.details,
        progress_interval: jobs.progress_interval,
        reboot_exit_code: jobs.reboot_exit_code,
    }
}
