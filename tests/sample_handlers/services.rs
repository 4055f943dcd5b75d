//! Services: started, stopped and restarted, with each service manager.

use crate::bench::{Bench, in_every_shell, stderr};

#[test]
fn services_are_handled_with_systemctl_or_rc_service_or_service_or_their_scripts() {
    in_every_shell(|| {
        for verb in ["start", "stop", "restart"] {
            let handler = format!("{verb}-services.sh");
            for arguments in [&["cron ssh@2"][..], &["cron", "ssh@2"]] {
                let bench = Bench::with(&["systemctl", "rc-service", "service"]);
                assert!(bench.run(&handler, arguments).status.success());
                assert_eq!(
                    bench.calls(),
                    [format!("systemctl <--no-ask-password> <{verb}> <--> <cron> <ssh@2>")]
                );

                let bench = Bench::with(&["rc-service", "service"]);
                assert!(bench.run(&handler, arguments).status.success());
                assert_eq!(
                    bench.calls(),
                    [format!("rc-service <cron> <{verb}>"), format!("rc-service <ssh@2> <{verb}>")]
                );

                let bench = Bench::with(&["service"]);
                assert!(bench.run(&handler, arguments).status.success());
                assert_eq!(
                    bench.calls(),
                    [format!("service <cron> <{verb}>"), format!("service <ssh@2> <{verb}>")]
                );

                let bench = Bench::with(&[]);
                bench.script("init.d/cron", "");
                bench.script("init.d/ssh@2", "");
                assert!(bench.run(&handler, arguments).status.success());
                assert_eq!(bench.calls(), [format!("cron <{verb}>"), format!("ssh@2 <{verb}>")]);
            }
        }
    });
}

#[test]
fn a_service_that_fails_or_is_not_there_ends_the_handler() {
    in_every_shell(|| {
        for tool in ["rc-service", "service"] {
            let bench = Bench::with(&[]);
            bench.tool(tool, "[ \"$1\" != cron ] || exit 5");
            assert_eq!(bench.run("restart-services.sh", &["cron ssh"]).status.code(), Some(5));
            assert_eq!(bench.calls(), [format!("{tool} <cron> <restart>")]);
        }
        let bench = Bench::with(&[]);
        bench.script("init.d/cron", "exit 4");
        assert_eq!(bench.run("stop-services.sh", &["cron"]).status.code(), Some(4));
        assert_eq!(bench.run("stop-services.sh", &["ssh"]).status.code(), Some(1));
    });
}

#[test]
fn the_agent_is_not_stopped_by_its_own_job_but_it_may_be_restarted() {
    in_every_shell(|| {
        let bench = Bench::with(&["systemctl"]);
        for names in ["fleethand", "cron fleethand.service"] {
            let output = bench.run("stop-services.sh", &[names]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(stderr(&output).starts_with("Refused: fleethand"), "{output:?}");
        }
        assert!(bench.calls().is_empty());
        assert!(bench.run("restart-services.sh", &["fleethand"]).status.success());
    });
}
