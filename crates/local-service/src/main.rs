//! `fleethand-local`: a Jobs service for the desk.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jobs_protocol::ThingName;
use local_service::pki::{self, Found, InitOptions};
use local_service::{Options, StartError, start};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

/// The AWS IoT Jobs service on one machine.
#[derive(Debug, Parser)]
#[command(name = "fleethand-local", version)]
struct Cli {
    /// How much is logged, on standard error: off, error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "info")]
    log_level: LevelFilter,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes certificates and an agent configuration. What is there is kept.
    Init {
        /// Where to put them.
        directory: PathBuf,
        /// The thing that the device acts for; without it, the one that is there, or `desk`.
        #[arg(long)]
        thing: Option<String>,
        /// A further name or address of the server, besides localhost, 127.0.0.1 and ::1.
        #[arg(long = "host")]
        hosts: Vec<String>,
        /// The MQTT port in the agent's configuration.
        #[arg(long, default_value_t = 8883)]
        port: u16,
    },
    /// Runs the service until it gets SIGTERM or SIGINT. The addresses are printed as one line of JSON.
    Serve(Serve),
}

/// What the service is started with.
#[derive(Debug, Args)]
struct Serve {
    /// What `init` has made.
    directory: PathBuf,
    /// Where to serve MQTT over TLS, and the data plane over HTTPS to clients that ask for it by ALPN; port 0 takes a
    /// free one. May be given several times, as some clients know one port only.
    #[arg(long, default_value = "127.0.0.1:8883")]
    mqtt: Vec<SocketAddr>,
    /// Where to serve the AWS API over plain HTTP; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where to keep state; without it, state is in memory and ends with the process.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A directory that stands in for S3: DIR/BUCKET/KEY is what documentSource and presigned placeholders name.
    #[arg(long, value_name = "DIR")]
    documents: Option<PathBuf>,
    /// A directory of IoT policies: DIR/THING.json for the certificates of a thing, DIR/default.json for the others.
    /// Without it, every certificate may do everything.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    trial: Trial,
}

/// What makes the service other than it should be.
#[derive(Debug, Args)]
struct Trial {
    /// A file with rules for faults, in JSON; they can be replaced at /_fleethand/faults.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// A clock that stands still until it is moved at /_fleethand/clock.
    #[arg(long)]
    virtual_clock: bool,
    /// Refuse line ends and tabs in status details, as the published pattern of the API has it.
    #[arg(long)]
    strict_details: bool,
}

/// Why the service is not even tried to be started.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot read the rules for faults in {}", path.display())]
    ReadFaults { path: PathBuf, source: io::Error },
    #[error("{} holds no rules for faults", path.display())]
    ParseFaults { path: PathBuf, source: serde_json::Error },
    // Found out at start: later it would be every client that is not let in, or every document that is not found.
    #[error("cannot look into {}, which {option} names", path.display())]
    Directory { option: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot print the addresses to standard output")]
    Print(#[source] io::Error),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(cli.log_level).with_ansi(false).init();
    let outcome = match cli.command {
        Command::Init { directory, thing, hosts, port } => init(&directory, thing, hosts, port),
        Command::Serve(arguments) => options(arguments).and_then(serve),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    tracing::error!("{}", chain(&*error));
    ExitCode::FAILURE
}

fn init(
    directory: &Path,
    thing: Option<String>,
    hosts: Vec<String>,
    port: u16,
) -> Result<(), Box<dyn Error>> {
    let thing = thing.map(ThingName::try_from).transpose()?;
    let report = pki::init(&InitOptions { directory: directory.to_owned(), thing, hosts, port })?;
    let mut out = io::stdout().lock();
    for (path, found) in &report.files {
        let what = match found {
            Found::Made => "made",
            Found::Kept => "kept",
        };
        writeln!(out, "{what}  {}", path.display())?;
    }
    writeln!(out, "\nThe service:  fleethand-local serve {}", directory.display())?;
    writeln!(out, "The agent:    fleethand --config-file {}", report.configuration.display())?;
    Ok(())
}

fn options(arguments: Serve) -> Result<Options, Box<dyn Error>> {
    let Serve { directory, mqtt, http, data_dir, documents, policies, trial } = arguments;
    for (option, path) in [("--documents", &documents), ("--policies", &policies)] {
        let Some(path) = path else { continue };
        fs::read_dir(path).map_err(|source| ServeError::Directory { option, path: path.clone(), source })?;
    }
    let mut options = Options::of_directory(&directory).map_err(StartError::from)?;
    if let Some((first, others)) = mqtt.split_first() {
        (options.mqtt, options.also_mqtt) = (*first, others.to_vec());
    }
    (options.http, options.virtual_clock) = (http, trial.virtual_clock);
    options.strict_details = trial.strict_details;
    (options.data, options.documents, options.policies) = (data_dir, documents, policies);
    if let Some(path) = trial.faults {
        let text = fs::read(&path).map_err(|source| ServeError::ReadFaults { path: path.clone(), source })?;
        options.faults =
            serde_json::from_slice(&text).map_err(|source| ServeError::ParseFaults { path, source })?;
    }
    Ok(options)
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut running = start(options).await?;
        let addresses = [running.mqtt, running.http];
        if addresses.iter().chain(&running.also_mqtt).any(|address| !address.ip().is_loopback()) {
            tracing::warn!("Other machines may reach this service, and it checks no signatures: whoever does can do anything");
        }
        let addresses =
            json!({ "mqtt": running.mqtt.to_string(), "http": format!("http://{}", running.http) });
        {
            let mut out = io::stdout().lock();
            writeln!(out, "{addresses}").and_then(|()| out.flush()).map_err(ServeError::Print)?;
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            error = running.failed() => return Err(error.into()),
        }
        running.stop().await;
        Ok(())
    })
}

/// An error with everything that led to it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
