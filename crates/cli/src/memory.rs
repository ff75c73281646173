//! Whether the machine has the memory that a job will take, before the job starts.

use std::path::Path;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{
    AugmentedConfig, CartesianConfig, Config, Features, FieldConfig, FittedConfig, Flow,
    InternalConfig, Model, ModelConfig, Network, Objective, Pairing, piece, sampling,
};
use boltzflow_flow::{Divergence, Elementwise, Profile, VectorField};

/// Bytes of the networks' numbers.
const SINGLE: f64 = 4.0;
/// Bytes of all other numbers.
const DOUBLE: f64 = 8.0;
/// Square matrices in a layer of the network.
const MATRICES: f64 = 7.0;
/// Tensors over all pairs of points that one layer keeps for reverse mode.
const KEPT: f64 = 16.0;
/// Tensors over all pairs of points that a round of an augmented coupling keeps for reverse mode.
const KEPT_OF_EDGE: f64 = 6.0;
/// Tensors as large as the widest one that live at the same time when a divergence is taken.
const LIVE: f64 = 12.0;
/// Values that a pass for the divergence holds at least, because samples are taken together up to there.
const PASS: f64 = (1 << 20) as f64;
/// Configurations of internal coordinates that one thread differentiates at a time.
const ROWS: f64 = 64.0;
/// Configurations with auxiliary points that one thread differentiates at a time, at most.
const CLOUDS: f64 = 128.0;
/// Numbers that label a coordinate, at most.
const LABEL: f64 = 256.0;
/// Square matrices in a layer of attention.
const MATRICES_OF_ATTENTION: f64 = 8.0;
/// Tensors as large as all tokens that reverse mode keeps of a layer of attention.
const KEPT_OF_TOKEN: f64 = 24.0;
/// Tensors as large as the numbers of all splines that reverse mode keeps.
const SPLINE_KEPT: f64 = 20.0;

/// What a job will take, by part, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Which job.
    job: &'static str,
    /// What for, and how much.
    parts: Vec<(&'static str, f64)>,
    /// How to need less.
    way_out: &'static str,
}

impl Need {
    /// Of recording `frames` configurations of `size` coordinates, from as many replicas.
    pub fn simulation(frames: u64, size: usize, replicas: usize) -> Self {
        // The frames, their bits on the way to the disk, and the text of these.
        let each = size as f64 * (2.0 * DOUBLE + 24.0);
        // Positions, momenta, gradients and a trial of each, and the saved state.
        let replica = size as f64 * (6.0 * DOUBLE + 2.0 * 24.0);
        Self {
            job: "simulating",
            parts: vec![
                ("frames", frames as f64 * each),
                ("replicas", replicas as f64 * replica),
            ],
            way_out: "ask for fewer frames or replicas",
        }
    }

    /// Of training on `frames` configurations. It is known before the network is made.
    pub fn training(config: &Config, features: &Features, frames: u64) -> Self {
        let size = (features.points * features.dims) as f64;
        let threads = rayon::current_num_threads() as f64;
        let (parameters, graph, piece) = match &config.model {
            ModelConfig::Cartesian(model) => {
                let (parameters, graph, piece) = cartesian(model, features.points as f64);
                let evaluations = evaluations(model, config.training.objective, size);
                (parameters, graph * evaluations, piece)
            }
            ModelConfig::Augmented(model) => augmented(model, features.points as f64),
            ModelConfig::Internal(model) => internal(model, size),
            ModelConfig::Fitted(model) => fitted(model, size),
        };
        let pieces = (config.training.batch as f64 / piece).ceil();
        // The optimiser's four vectors, as many in a checkpoint and its bytes, a model and gradients for each thread, a gradient a piece.
        let copies = 12.0 + 3.0 * threads + pieces;
        Self {
            job: "training",
            parts: vec![
                (
                    "parameters and their gradients",
                    SINGLE * parameters * copies,
                ),
                ("activations", SINGLE * piece * graph * threads.min(pieces)),
                ("data", frames as f64 * size * DOUBLE * 4.0),
                (
                    "samples of its own",
                    of_its_own(config.training.objective, size) * DOUBLE,
                ),
            ],
            way_out: "use a smaller width, fewer layers, a smaller training.batch, or fewer --threads",
        }
    }

    /// Of drawing `count` samples.
    pub fn sampling(model: &Model, count: u64) -> Self {
        let (points, dims) = (model.points(), model.dims());
        let threads = rayon::current_num_threads() as f64;
        let pass = match (model.flow(), model.architecture().model()) {
            (Flow::Cartesian(flow), ModelConfig::Cartesian(config)) => {
                match config.solver.divergence {
                    Divergence::Exact => {
                        let field = &flow.continuous().field;
                        (field.divergence_size(points, dims) as f64).max(PASS)
                    }
                    Divergence::Hutchinson { probes, .. } => {
                        let pairs = (points * points * width(config.field)) as f64;
                        pairs * (probes + 1) as f64 * sampling::CHUNK as f64
                    }
                }
            }
            (_, ModelConfig::Augmented(config)) => {
                (points * points * config.width * sampling::CHUNK) as f64
            }
            (_, ModelConfig::Internal(config)) => {
                let size = points * dims;
                let widest = (size * config.map.parameters()).max(match config.network {
                    Network::Perceptron(network) => network.width,
                    // Keys and values, or the logits of a head.
                    Network::Attention(network) => size * (2 * network.width).max(size),
                });
                (widest * sampling::CHUNK) as f64
            }
            (_, ModelConfig::Fitted(config)) => {
                let (numbers, ..) = fitted(&config, (points * dims) as f64);
                numbers * sampling::CHUNK as f64
            }
            (Flow::Augmented(_) | Flow::Internal(_), ModelConfig::Cartesian(_)) => PASS,
        };
        let each = (2 * points * dims + 4) as f64;
        Self {
            job: "sampling",
            parts: vec![
                ("networks", SINGLE * pass * LIVE * threads),
                // By chunk, joined, and as the arrays of a file.
                ("samples", count as f64 * each * DOUBLE * 3.0),
            ],
            way_out: "use fewer --threads, or draw the samples in several --shard i/n or runs",
        }
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Refuses a job that needs more than there is.
    pub fn check(&self) -> Result<()> {
        match available() {
            Some(available) => self.fits(available),
            None => Ok(()),
        }
    }

    fn fits(&self, available: f64) -> Result<()> {
        if self.total() <= available {
            return Ok(());
        }
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|(name, bytes)| format!("{name} {}", gigabytes(*bytes)))
            .collect();
        bail!(
            "{} needs about {} of memory ({}), but {} are available; {}",
            self.job,
            gigabytes(self.total()),
            parts.join(", "),
            gigabytes(available),
            self.way_out
        )
    }
}

/// Numbers of the samples that flow matching makes itself and learns from: where they begin and end, as they are drawn and as they are learnt from.
fn of_its_own(objective: Objective, size: f64) -> f64 {
    let pairs = match objective {
        Objective::FlowMatching {
            pairing: Pairing::Reflow { pairs },
            ..
        } => pairs,
        _ => 0,
    };
    let round = objective.improvement().map_or(0, |own| own.samples);
    pairs.max(round) as f64 * 2.0 * (2.0 * size)
}

/// Parameters, numbers that reverse mode keeps for each pair of noise and data, and pairs that one thread differentiates at a time.
fn cartesian(model: &CartesianConfig, points: f64) -> (f64, f64, f64) {
    let sizes = |[width, layers]: [usize; 2]| {
        let [width, layers] = [width, layers].map(|count| count as f64);
        let parameters = layers * MATRICES * width * width;
        (parameters, points * points * width * layers * KEPT)
    };
    // There are at most as many kinds of pairs as pairs.
    let by_kind = |numbers: usize| numbers as f64 * points * points;
    let (parameters, graph) = match model.field {
        FieldConfig::Egnn {
            width,
            layers,
            channels,
            ..
        } => {
            let (parameters, _) = sizes([width, layers]);
            let spread = by_kind(if channels > 1 { layers * channels } else { 0 });
            // What is between points is computed again; of pairs there is what is known of their distances, in every layer.
            let kept = points * width as f64 + points * points;
            (parameters + spread, kept * layers as f64 * KEPT)
        }
        FieldConfig::Kernel {
            profile,
            functions,
            times,
            ..
        } => {
            let size = match profile {
                Profile::Mixture => [functions, 1],
                Profile::Perceptron { width, layers } => [width.max(functions), layers + 1],
            };
            let (parameters, graph) = sizes(size);
            (parameters + by_kind(functions * times), graph)
        }
        FieldConfig::Hollow { width, layers } => sizes([width, layers + 1]),
        FieldConfig::Transformer { width, layers, .. } => {
            let (parameters, graph) = sizes([width, layers + 1]);
            (4.0 * parameters, 4.0 * graph)
        }
    };
    (parameters, graph, piece(points as usize) as f64)
}

/// Features of a pair of points in the widest layer of a field.
fn width(field: FieldConfig) -> usize {
    match field {
        FieldConfig::Kernel {
            profile: Profile::Perceptron { width, .. },
            functions,
            ..
        } => width.max(functions),
        FieldConfig::Kernel { functions, .. } => functions,
        FieldConfig::Egnn { width, .. }
        | FieldConfig::Hollow { width, .. }
        | FieldConfig::Transformer { width, .. } => width,
    }
}

/// As many evaluations of the field as the graph of a piece holds, every tangent of a divergence counted as one more.
fn evaluations(model: &CartesianConfig, objective: Objective, size: f64) -> f64 {
    let Objective::LikelihoodThroughSolve { divergence, .. } = objective else {
        return 1.0;
    };
    // One step of the solve at a time.
    let stages = model.solver.method.tableau().working_stages() as f64;
    let tangents = match divergence {
        Divergence::Exact => size,
        Divergence::Hutchinson { probes, .. } => probes as f64,
    };
    stages * (1.0 + tangents)
}

/// The same of a flow with auxiliary points: what its networks keep of pairs, of whose edges one activation is taken, and the numbers of its maps.
fn augmented(model: &AugmentedConfig, points: f64) -> (f64, f64, f64) {
    let [layers, rounds, width] = [model.layers, model.rounds, model.width].map(|n| n as f64);
    let parameters = layers * rounds * MATRICES * width * width;
    let pairs = rounds * points * points * width * KEPT_OF_EDGE;
    let numbers = SPLINE_KEPT * 3.0 * points * model.map.parameters() as f64;
    (parameters, layers * (pairs + numbers), CLOUDS)
}

/// The same of a flow of internal coordinates, of which there are no more than of positions.
fn internal(model: &InternalConfig, size: f64) -> (f64, f64, f64) {
    let layers = model.layers as f64;
    let numbers = model.map.parameters() as f64;
    let outputs = size * numbers;
    let (parameters, kept) = match model.network {
        Network::Perceptron(network) => {
            let [width, hidden] = [network.width, network.layers].map(|count| count as f64);
            // A circle is seen as six waves.
            let parameters = width * (6.0 * size + hidden * width + outputs);
            (parameters, 3.0 * hidden * width)
        }
        Network::Attention(network) => {
            let [width, hidden] = [network.width, network.layers].map(|count| count as f64);
            let parameters = width * (LABEL + hidden * MATRICES_OF_ATTENTION * width + numbers);
            (parameters, hidden * KEPT_OF_TOKEN * size * width)
        }
    };
    let kept = kept + SPLINE_KEPT * outputs;
    (layers * parameters, layers * kept, ROWS)
}

/// The same of distributions that are fitted: splines and correlations; nothing is kept for gradients.
fn fitted(model: &FittedConfig, size: f64) -> (f64, f64, f64) {
    let numbers = Elementwise::Spline { bins: model.bins }.parameters() as f64;
    (size * (numbers + size), 0.0, ROWS)
}

fn gigabytes(bytes: f64) -> String {
    format!("{:.2} GB", bytes / 1e9)
}

/// Bytes that this process can have: what Linux calls available, or less where a control group says so. None where neither is known.
fn available() -> Option<f64> {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| Some(1024.0 * field(&text, "MemAvailable:")?));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups
        .lines()
        .flat_map(|line| group_headrooms(line, Path::new("/sys/fs/cgroup")))
        .chain(machine)
        .reduce(f64::min)
}

/// What the control group of a line of `/proc/self/cgroup`, and those around it, leave.
fn group_headrooms(line: &str, root: &Path) -> Vec<f64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, limit, usage, cache) = match controllers {
        "" => (
            root.to_path_buf(),
            "memory.max",
            "memory.current",
            "inactive_file ",
        ),
        "memory" => (
            root.join("memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file ",
        ),
        _ => return Vec::new(),
    };
    let number =
        |path: &Path| -> Option<f64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    Path::new(path)
        .ancestors()
        .filter_map(|group| {
            let folder = root.join(group.strip_prefix("/").unwrap_or(group));
            let limit = number(&folder.join(limit))?;
            let used = number(&folder.join(usage)).unwrap_or(0.0);
            let statistics =
                std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let reclaimable = field(&statistics, cache).unwrap_or(0.0);
            Some((limit - used + reclaimable).max(0.0))
        })
        .collect()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
    use super::*;

    #[test]
    fn a_job_too_large_is_refused_with_numbers_and_a_way_out() {
        let need = Need::simulation(1_000_000, 100, 1);
        assert!(need.fits(need.total()).is_ok());
        let message = need.fits(1e9).unwrap_err().to_string();
        for part in ["4.00 GB", "1.00 GB", "fewer frames"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn pairs_and_samples_that_flow_matching_makes_count() {
        let of = |text: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
            let config = Config::read(&path.join(text)).unwrap();
            of_its_own(config.training.objective, 10.0)
        };
        assert_eq!(of("dw4.toml"), 0.0);
        // 100,000 pairs, and rounds of 10,000 samples.
        assert_eq!(of("dw4-reflow.toml"), 4e6);
        assert_eq!(of("dw4-improvement.toml"), 4e5);
    }

    #[test]
    fn a_control_group_leaves_its_limit_less_what_is_used_and_cannot_be_freed() {
        let root = std::env::temp_dir().join(format!("boltzflow-cgroup-{}", std::process::id()));
        let group = root.join("a/b");
        std::fs::create_dir_all(&group).unwrap();
        let write = |name: &str, text: &str| std::fs::write(group.join(name), text).unwrap();
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        write("memory.stat", "anon 500\ninactive_file 200\n");
        std::fs::write(root.join("a/memory.max"), "max\n").unwrap();
        assert_eq!(group_headrooms("0::/a/b", &root), [500.0]);
        assert!(group_headrooms("5:cpu:/a/b", &root).is_empty());
        std::fs::remove_dir_all(root).unwrap();
    }
}
