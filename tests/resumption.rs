//! Runs that are killed, interrupted, out of time or repeated: the bytes are those of one uninterrupted run.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::augmented;
use crate::cli::{CONFIG, SIMULATE, TRAIN, bytes, folder, output, program, succeed};
use crate::support::{names, trial};

type Test = fn() -> Result<(), Failed>;

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let killed = KILLED.map(|verb| {
        trial(
            format!(
                "{}_killed_at_ten_random_moments_gives_the_same_bytes",
                verb.name
            ),
            false,
            move || survives_ten_kills(&verb),
        )
    });
    let others: [(&str, Test); 5] = [
        (
            "work_in_slices_of_a_time_limit_gives_the_same_bytes",
            work_in_slices_of_a_time_limit_gives_the_same_bytes,
        ),
        (
            "the_end_of_a_slurm_job_is_a_time_limit",
            the_end_of_a_slurm_job_is_a_time_limit,
        ),
        (
            "a_signal_saves_and_exits_with_75",
            a_signal_saves_and_exits_with_75,
        ),
        (
            "a_complete_run_says_so_and_another_is_refused",
            a_complete_run_says_so_and_another_is_refused,
        ),
        (
            "a_budget_changes_counts_and_nothing_else",
            a_budget_changes_counts_and_nothing_else,
        ),
    ];
    let others = others.map(|(name, test)| trial(name, false, test));
    killed.into_iter().chain(others).collect()
}

/// A verb with enough to do for ten kills.
#[derive(Clone, Copy)]
struct Killed {
    name: &'static str,
    words: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
}

const KILLED: [Killed; 8] = [
    Killed {
        name: "simulate",
        words: "simulate --target dw4 -n 20000 --burn-in 200 --replicas 2 --ladders 2 --stride 4 --seed 3 -o frames.npz",
        inputs: &[],
        outputs: &["frames.npz"],
    },
    Killed {
        name: "simulate_at_all_temperatures",
        words: "simulate --target dw4 -n 10000 --burn-in 200 --replicas 3 --ladders 2 --stride 4 --seed 3 --all-temperatures -o frames.npz",
        inputs: &[],
        outputs: &["frames.npz"],
    },
    Killed {
        name: "train",
        words: "train --target dw4 --data data.npz --config long.toml -o flow.safetensors",
        inputs: &["data.npz"],
        outputs: &["flow.safetensors"],
    },
    Killed {
        name: "train_through_the_solve",
        words: "train --target dw4 --data data.npz --config solve.toml -o flow.safetensors",
        inputs: &["data.npz"],
        outputs: &["flow.safetensors"],
    },
    Killed {
        name: "train_with_auxiliary_points",
        words: "train --target dw4 --data data.npz --config augmented.toml -o flow.safetensors",
        inputs: &["data.npz"],
        outputs: &["flow.safetensors"],
    },
    Killed {
        name: "train_on_its_own_samples",
        words: "train --target dw4 --from flow.safetensors --config own.toml -o better.safetensors",
        inputs: &["flow.safetensors"],
        outputs: &["better.safetensors"],
    },
    Killed {
        name: "sample",
        words: "sample flow.safetensors -n 1200 --seed 7 -o samples.npz",
        inputs: &["flow.safetensors"],
        outputs: &["samples.npz"],
    },
    Killed {
        name: "generate",
        words: "generate --target dw4 --config long.toml --frames 8000 -n 400 --seed 2 -o all.npz",
        inputs: &[],
        outputs: &["all.samples.npz", "all.safetensors", "all.held-out.npz"],
    },
];

fn long_config() -> String {
    CONFIG.replace("steps = 60", "steps = 250")
}

/// The same on four rounds of the flow's own samples, and nothing else.
fn own_config() -> String {
    let own = "improvement = { start = 0, every = 15, samples = 200, rounds = 2, share = 1.0 }";
    CONFIG.replace("\"aligned\"", &format!("\"aligned\", {own}"))
}

/// The same by maximum likelihood through the solve.
fn solve_config() -> String {
    let matching = r#"{ flow_matching = { pairing = "aligned" } }"#;
    let divergence = r#"{ hutchinson = { probes = 1, noise = "rademacher" } }"#;
    let through_solve =
        format!("{{ likelihood_through_solve = {{ steps = 2, divergence = {divergence} }} }}");
    CONFIG.replace(matching, &through_solve)
}

/// A folder with some files of another.
fn copy(from: &Path, inputs: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in inputs {
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
    std::fs::write(folder.path().join("long.toml"), long_config()).unwrap();
    std::fs::write(folder.path().join("solve.toml"), solve_config()).unwrap();
    let augmented = augmented::config("\"likelihood\"");
    std::fs::write(folder.path().join("augmented.toml"), augmented).unwrap();
    std::fs::write(folder.path().join("own.toml"), own_config()).unwrap();
    folder
}

/// Fractions of a run at which to kill it: a full-period congruential sequence over 0…1023, started by the clock.
fn moments() -> impl Iterator<Item = f64> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let next = |x: &u64| Some((x * 397 + 211) % 1024);
    std::iter::successors(Some(u64::from(clock.subsec_nanos()) % 1024), next)
        .map(|x| x as f64 / 1024.0)
}

fn survives_ten_kills(verb: &Killed) -> Result<(), Failed> {
    let inputs = folder(verb.inputs.contains(&"flow.safetensors"));
    let whole = copy(inputs.path(), verb.inputs);
    let started = Instant::now();
    succeed(whole.path(), verb.words);
    let length = started.elapsed();
    let compare = |folder: &Path| {
        for name in verb.outputs {
            assert!(
                bytes(whole.path(), name) == bytes(folder, name),
                "{name} differs after kills"
            );
        }
    };
    let mut killed = copy(inputs.path(), verb.inputs);
    let mut kills = 0;
    for moment in moments() {
        if kills == 10 {
            break;
        }
        let mut child = program(killed.path(), verb.words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(length.mul_f64(0.6 * moment));
        if let Some(status) = child.try_wait()? {
            // It was done before its time came: the next kills meet another run.
            assert!(status.success(), "{} failed after a kill", verb.name);
            compare(killed.path());
            killed = copy(inputs.path(), verb.inputs);
            continue;
        }
        child.kill()?;
        child.wait()?;
        kills += 1;
    }
    succeed(killed.path(), verb.words);
    compare(killed.path());
    assert_eq!(
        names(killed.path()),
        names(whole.path()),
        "kills have left files behind"
    );
    Ok(())
}

fn work_in_slices_of_a_time_limit_gives_the_same_bytes() -> Result<(), Failed> {
    let inputs = folder(true);
    for verb in KILLED {
        let (whole, sliced) = (
            copy(inputs.path(), verb.inputs),
            copy(inputs.path(), verb.inputs),
        );
        let started = Instant::now();
        succeed(whole.path(), verb.words);
        let limit = started.elapsed().mul_f64(0.4);
        let words = format!("{} --time-limit {:.3}s", verb.words, limit.as_secs_f64());
        let mut stops = 0;
        loop {
            let output = output(sliced.path(), &words);
            match output.status.code() {
                Some(0) => break,
                Some(75) => stops += 1,
                code => return Err(format!("{words}: exit code {code:?}").into()),
            }
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains("time limit"), "{message}");
            assert!(stops < 50, "{} makes no progress", verb.name);
        }
        assert!(stops > 0, "{} never ran out of time", verb.name);
        for name in verb.outputs {
            assert!(
                bytes(whole.path(), name) == bytes(sliced.path(), name),
                "{name} differs when done in {stops} more slices"
            );
        }
    }
    Ok(())
}

/// A training that would take hours.
fn endless() -> TempDir {
    let folder = folder(false);
    let config = CONFIG.replace("steps = 60", "steps = 10000000");
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

fn the_end_of_a_slurm_job_is_a_time_limit() -> Result<(), Failed> {
    let folder = endless();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let started = Instant::now();
    let status = program(folder.path(), TRAIN)
        .env("SLURM_JOB_END_TIME", (now.as_secs() + 3).to_string())
        .stderr(Stdio::null())
        .status()?;
    assert_eq!(status.code(), Some(75));
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "it ran too long"
    );
    assert!(folder.path().join("flow.safetensors").exists());
    Ok(())
}

fn a_signal_saves_and_exits_with_75() -> Result<(), Failed> {
    let folder = endless();
    let at = folder.path();
    let mut steps = 0;
    for signal in ["TERM", "INT", "USR1"] {
        let mut child = program(at, TRAIN)
            .args(["--threads", "1"])
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(700));
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()?;
        assert!(sent.success());
        assert_eq!(child.wait()?.code(), Some(75), "after SIG{signal}");
        let checkpoint =
            boltzflow_boltzmann::Checkpoint::read(&at.join("flow.safetensors")).unwrap();
        assert!(
            checkpoint.optimizer.step > steps,
            "SIG{signal} lost what was done"
        );
        steps = checkpoint.optimizer.step;
    }
    Ok(())
}

fn a_complete_run_says_so_and_another_is_refused() -> Result<(), Failed> {
    let folder = folder(true);
    let at = folder.path();
    std::fs::write(
        at.join("other.toml"),
        CONFIG.replace("seed = 1", "seed = 2"),
    )?;
    let generate = "generate --target dw4 --config config.toml --frames 600 -n 64 -o all.npz";
    let sample = "sample flow.safetensors -n 64 -o samples.npz";
    succeed(at, sample);
    succeed(at, generate);
    // What a later one was made from is not replaced before it.
    let others = [
        (generate, format!("{generate} --seed 9"), "all.samples.npz"),
        (sample, format!("{sample} --seed 9"), "samples.npz"),
        (
            TRAIN,
            TRAIN.replace("config.toml", "other.toml"),
            "flow.safetensors",
        ),
        (
            SIMULATE,
            SIMULATE.replace("--seed 3", "--seed 4"),
            "data.npz",
        ),
    ];
    for (words, other, name) in others {
        let before = bytes(at, name);
        let again = output(at, words);
        let said = [again.stdout, again.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(again.status.success(), "{words}: {said}");
        assert!(said.contains("is complete already"), "{words}: {said}");
        assert!(
            !said.contains("replica exchange"),
            "{words} does work again: {said}"
        );
        let refused = output(at, &other);
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{other} succeeded");
        assert!(message.contains("give --overwrite"), "{other}: {message}");
        assert!(bytes(at, name) == before, "{name} was touched");
        succeed(at, &format!("{other} --overwrite"));
        assert!(bytes(at, name) != before, "{name} was not replaced");
    }
    Ok(())
}

fn a_budget_changes_counts_and_nothing_else() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let at = folder.path();
    // Few validations and checkpoints: their time is not in the estimate.
    let config = CONFIG
        .replace("steps = 60", "steps = 7")
        .replace("validate_every = 20", "validate_every = 10000")
        .replace("checkpoint_every = 7", "checkpoint_every = 10000");
    std::fs::write(at.join("config.toml"), config)?;
    let budget = "generate --target dw4 --config config.toml -n 64 --budget 8s -o budget.npz";
    succeed(at, budget);
    let text = std::fs::read_to_string(at.join("budget.plan.toml"))?;
    let plan: toml::Table = text.parse()?;
    let learning = plan["learning"].as_table().unwrap();
    let experiment = &learning["experiment"];
    assert_ne!(
        experiment["training"]["steps"].as_integer(),
        Some(7),
        "the budget left the steps as they were"
    );
    std::fs::write(at.join("counted.toml"), toml::to_string(experiment)?)?;
    succeed(
        at,
        &format!(
            "generate --target dw4 --config counted.toml --frames {} -n {} -o counted.npz",
            learning["frames"], plan["samples"]
        ),
    );
    for end in ["safetensors", "samples.npz"] {
        let names = ["budget", "counted"].map(|name| format!("{name}.{end}"));
        assert!(
            bytes(at, &names[0]) == bytes(at, &names[1]),
            "{} depends on more than the counts",
            names[0]
        );
    }
    // A resumed run measures nothing anew: the counts stay.
    std::fs::remove_file(at.join("budget.samples.npz"))?;
    succeed(at, budget);
    assert!(text.as_bytes() == bytes(at, "budget.plan.toml"));
    assert!(bytes(at, "budget.samples.npz") == bytes(at, "counted.samples.npz"));
    Ok(())
}
