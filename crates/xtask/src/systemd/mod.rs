//! `cargo xtask systemd`: the unit under a real systemd, installed as the README says, and what an operator and a power
//! switch do to it. In a container of its own; nothing of this machine is touched but `target/systemd`.

mod machine;
mod ways;

use crate::cargo;
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::scene::Scene;

use machine::Machine;
use ways::{Stage, WAYS};

/// Goes all the ways. Fails at the first that ends elsewhere.
pub(crate) fn run(suite: &str, interrupt: &Interrupt) -> Result<(), TaskError> {
    if !rustix::process::geteuid().is_root() {
        let found = "only root can start a container: run it as root".to_owned();
        return Err(TaskError::Strange { what: "the user", found });
    }
    println!("Building fleethand and fleethand-local");
    let programs = cargo::build(false)?;
    let scene = Scene::set(&programs, interrupt)?;
    let machine = Machine::new(suite)?;
    let mut stage = Stage { machine, scene, interrupt: interrupt.clone() };
    stage.machine.boot(interrupt)?;
    for (what, way) in WAYS {
        way(&mut stage)?;
        println!("ok  {what}");
    }
    stage.scene.check()
}
