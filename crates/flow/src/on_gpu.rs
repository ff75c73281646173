//! The laws on whatever GPU there is, in single precision, and its agreement with the CPU: of every field, and of couplings.

use std::sync::OnceLock;

use burn::module::Module;
use burn::tensor::{DType, Device, DeviceKind, DeviceType, Tensor};

use crate::field::laws::{flow, shaken_on};
use crate::laws::{KINDS, POINTS, cloud, context, points, space};
use crate::parameters::gradients;
use crate::testing::{largest, log_abs_det, permuted, permuted_context, points as draw, turned_by};
use crate::*;

/// The GPU; where there is none a sentence says that a test is skipped.
pub(crate) fn gpu() -> Option<Device> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found = FOUND.get_or_init(|| !Device::enumerate(DeviceType::Wgpu).into_vec().is_empty());
    if !found {
        eprintln!(
            "skipped: there is no adapter for wgpu; on Debian mesa-vulkan-drivers and libvulkan1 are one in software"
        );
    }
    found.then(|| Device::wgpu(DeviceKind::DefaultDevice))
}

/// Of which densities are compared.
const SAMPLES: usize = 16;

const SINGLE: DType = DType::F32;

/// A map by name.
struct Case<M> {
    name: &'static str,
    new: fn(&mut Initializer) -> M,
    /// How far its weights are moved from where they start.
    noise: f32,
    reflects: bool,
}

impl<M: Module> Case<M> {
    fn on(&self, device: &Device) -> M {
        shaken_on((device, SINGLE), self.noise, self.new)
    }
}

fn egnn(edges: Edges, make: &mut Initializer) -> Field {
    let config = EgnnConfig {
        width: 16,
        layers: 3,
        node_features: 2,
        pair_features: 1,
        pair_kinds: KINDS,
        global_features: 0,
        channels: 2,
        edges,
        schedule: Schedule { rate: 1.5 },
    };
    Field::Egnn(Egnn::new(&config, make))
}

fn kernel(profile: Profile, make: &mut Initializer) -> Field {
    let config = KernelConfig {
        profile,
        functions: 5,
        span: [-2.0, 2.0],
        times: 3,
        pair_kinds: KINDS,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    };
    Field::Kernel(Kernel::new(&config, make).unwrap())
}

fn hollow(make: &mut Initializer) -> Field {
    let config = HollowConfig {
        width: 8,
        layers: 2,
        node_features: 2,
        pair_features: 1,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    };
    Field::Hollow(Hollow::new(&config, make).unwrap())
}

fn transformer(symmetry: Symmetry, make: &mut Initializer) -> Field {
    let config = TransformerConfig {
        width: 8,
        heads: 2,
        layers: 2,
        radial: 6,
        symmetry,
        node_features: 2,
        pair_features: 1,
        global_features: 0,
        schedule: Schedule { rate: 1.5 },
    };
    Field::Transformer(Transformer::new(&config, 3, make).unwrap())
}

fn fields() -> [Case<Field>; 7] {
    const PERCEPTRON: Profile = Profile::Perceptron {
        width: 6,
        layers: 2,
    };
    let case = |name, new| Case {
        name,
        new,
        noise: 0.02,
        reflects: name != "transformer of rotations",
    };
    [
        case("egnn, updated edges", |make| egnn(Edges::Updated, make)),
        case("egnn, initial edges", |make| egnn(Edges::Initial, make)),
        case("kernel", |make| kernel(Profile::Mixture, make)),
        case("kernel of perceptrons", |make| kernel(PERCEPTRON, make)),
        case("hollow", hollow),
        case("transformer", |make| transformer(Symmetry::Full, make)),
        case("transformer of rotations", |make| {
            transformer(Symmetry::Rotations, make)
        }),
    ]
}

/// Two couplings, of positions and of auxiliary points.
fn coupling(reference: Reference, map: Elementwise, make: &mut Initializer) -> Chain<Layer> {
    let config = AugmentedConfig {
        width: 8,
        rounds: 2,
        channels: 3,
        node_features: 2,
        pair_features: 1,
        global_features: 0,
        reference,
        map,
    };
    let couplings = AugmentedCoupling::alternating(2, doubled(), &config, make).unwrap();
    Chain::new(couplings.into_iter().map(Layer::Augmented).collect()).unwrap()
}

fn couplings() -> [Case<Chain<Layer>>; 4] {
    const SPLINE: Elementwise = Elementwise::Spline { bins: 3 };
    let case = |name, new| Case {
        name,
        new,
        noise: 0.1,
        reflects: name != "spherical spline" && name != "projected spline",
    };
    [
        case("vector affine", |make| {
            coupling(Reference::Vector, Elementwise::Affine, make)
        }),
        case("vector spline", |make| {
            coupling(Reference::Vector, SPLINE, make)
        }),
        case("spherical spline", |make| {
            coupling(Reference::Spherical, SPLINE, make)
        }),
        case("projected spline", |make| {
            coupling(Reference::Projected, SPLINE, make)
        }),
    ]
}

/// Positions and auxiliary points.
fn doubled() -> Space {
    Space::MeanFree {
        points: 2 * POINTS,
        dims: 3,
    }
}

fn on(x: &Points, device: &Device) -> Points {
    divergence::tensor(host(x.clone()), x.dims(), device, SINGLE)
}

/// The largest difference, relative to the largest of the second.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let most = b.iter().fold(1e-30_f64, |most, b| most.max(b.abs()));
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f64::max) / most
}

fn root_mean_square(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

/// `log q` of data along a map.
fn log_density(map: &dyn Bijection, y: &Points, context: &Context) -> Vec<f64> {
    let Space::MeanFree { points, dims } = map.input() else {
        panic!("a map of mean-free clouds")
    };
    let (x, log_det) = map.inverse(y.clone(), context).unwrap();
    let prior = MeanFreeGaussian { points, dims }.log_density(&host(x));
    prior
        .iter()
        .zip(host(log_det))
        .map(|(p, l)| p + l)
        .collect()
}

/// Asserts that a map commutes with rotations, permutations and, where it says so, reflections, that it inverts, and that its bits come again.
fn assert_map<M>(map: &dyn Bijection, x: &Points, context: &Context, case: &Case<M>) {
    let name = case.name;
    let (y, log_det) = map.forward(x.clone(), context).unwrap();
    let (back, other_log_det) = map.inverse(y.clone(), context).unwrap();
    let off = [
        largest(back - x.clone()),
        largest(log_det.clone() + other_log_det),
    ];
    // Of a flow, rounding is the least of it: its few steps there and back leave 4e-5 in double precision as well.
    assert!(
        off.iter().all(|off| *off < 1e-4),
        "{name}, inverse: {off:?}"
    );
    let determinants: &[i32] = if case.reflects { &[1, -1] } else { &[1] };
    for &determinant in determinants {
        let (found, found_log_det) = map.forward(turned_by(x, determinant), context).unwrap();
        let off = [
            largest(found - turned_by(&y, determinant)),
            largest(found_log_det - log_det.clone()),
        ];
        assert!(
            off.iter().all(|off| *off < 2e-4),
            "{name}, {determinant}: {off:?}"
        );
    }
    let order: Vec<usize> = (1..POINTS).chain([0]).collect();
    let halves = x.dims()[1] / POINTS;
    let places: Vec<usize> = (0..halves)
        .flat_map(|half| order.iter().map(move |place| half * POINTS + place))
        .collect();
    let (found, found_log_det) = map
        .forward(permuted(x, &places), &permuted_context(context, &order))
        .unwrap();
    let off = [
        largest(found - permuted(&y, &places)),
        largest(found_log_det - log_det.clone()),
    ];
    assert!(
        off.iter().all(|off| *off < 2e-4),
        "{name}, permuted: {off:?}"
    );
    let (again, again_log_det) = map.forward(x.clone(), context).unwrap();
    assert_eq!(host(again), host(y), "{name}");
    assert_eq!(host(again_log_det), host(log_det), "{name}");
}

#[test]
fn flows_of_all_fields_are_equivariant_and_invert_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    for case in fields() {
        let flow = flow(case.on(&gpu), space(3), 5);
        let context = context(true, 2).on((&gpu, SINGLE));
        assert_map(&flow, &on(&points(2, 3), &gpu), &context, &case);
    }
}

/// `log |det PᵀJQ|` at one sample from gradients: differences are of too few digits in single precision. The sample goes along once for every
/// coordinate of the result, so that one pass back has all rows of `J`.
fn jacobian_log_det(map: &dyn Bijection, x: &Points) -> f64 {
    let space = map.input();
    let size = space.coordinates();
    let copies = x.clone().repeat_dim(0, size).autodiff().require_grad();
    let context = coupled_context(size).on((&x.device(), SINGLE));
    let (y, _) = map.forward(copies.clone(), &context).unwrap();
    let own = y.reshape([size, size]) * divergence::identity_matrix(size, x);
    let rows = host(copies.grad(&own.sum().backward()).unwrap());
    let half: Vec<Vec<f64>> = rows.chunks(size).map(|row| space.project(row)).collect();
    let column = |c: usize| {
        let column: Vec<f64> = half.iter().map(|row| row[c]).collect();
        space.project(&column)
    };
    log_abs_det((0..space.dimension()).map(column).collect())
}

#[test]
fn couplings_are_equivariant_lawful_and_invert_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    for case in couplings() {
        let (map, x) = (case.on(&gpu), on(&draw(doubled(), 2, 4), &gpu));
        let context = coupled_context(2).on((&gpu, SINGLE));
        assert_map(&map, &x, &context, &case);
        let (_, log_det) = map.forward(x.clone(), &context).unwrap();
        for (sample, log_det) in host(log_det).into_iter().enumerate() {
            let off = (jacobian_log_det(&map, &x.clone().narrow(0, sample, 1)) - log_det).abs();
            assert!(off < 1e-3, "{}: log |det| is off by {off:e}", case.name);
        }
    }
}

fn coupled_context(batch: usize) -> Context {
    Context {
        kinds: None,
        distances: None,
        ..context(true, batch)
    }
}

#[test]
fn velocities_tangents_divergences_and_gradients_of_a_gpu_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let direction = cloud((0..30).map(|i| f64::from(i).cos()).collect(), POINTS, 3);
    for case in fields() {
        let values = |device: &Device| {
            let (x, direction) = (on(&points(2, 3), device), on(&direction, device));
            let context = context(true, 2).on((device, SINGLE));
            let t = || Tensor::full([2], 0.4, (device, SINGLE));
            let field = case.on(device);
            let v = field.velocity(t(), Dual::new(x.clone(), direction.clone()), &context);
            let (_, trace) = Probes::Coordinates.evaluate(&field, 0.4, &x, &context);
            let trained = field.train();
            let loss = trained.velocity(t(), Dual::new(x, direction.clone()), &context);
            let loss = loss.value.square().sum() + (loss.tangents.unwrap() * direction).sum();
            let gradient = gradients(&trained, &loss.backward());
            [
                host(v.value),
                host(v.tangents.unwrap()),
                host(trace),
                gradient.into_iter().map(f64::from).collect(),
            ]
        };
        let (found, expected) = (values(&gpu), values(&Device::flex()));
        for (what, (found, expected)) in ["v", "tangents", "divergence", "gradient"]
            .iter()
            .zip(found.into_iter().zip(expected))
        {
            let off = apart(&found, &expected);
            assert!(off < 5e-5, "{}, {what}: {off:e}", case.name);
        }
    }
}

#[test]
fn log_densities_of_a_gpu_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let check = |name: &str, found: &[f64], expected: &[f64]| {
        let off = root_mean_square(found, expected);
        assert!(off < 1e-4, "{name}: log q is off by {off:e} RMS");
    };
    for case in fields() {
        let of = |device: &Device| {
            let flow = flow(case.on(device), space(3), 2);
            let context = context(true, SAMPLES).on((device, SINGLE));
            log_density(&flow, &on(&points(SAMPLES, 3), device), &context)
        };
        check(case.name, &of(&gpu), &of(&Device::flex()));
    }
    for case in couplings() {
        let of = |device: &Device| {
            let context = coupled_context(SAMPLES).on((device, SINGLE));
            let y = on(&draw(doubled(), SAMPLES, 4), device);
            log_density(&case.on(device), &y, &context)
        };
        let exact = {
            let flex = Device::flex();
            let map = shaken_on((&flex, DType::F64), case.noise, case.new);
            let y = on(&draw(doubled(), SAMPLES, 4), &flex).cast(DType::F64);
            log_density(&map, &y, &coupled_context(SAMPLES))
        };
        // Near points in line a basis has few digits in single precision, on any device.
        let [gpu, cpu] =
            [&gpu, &Device::flex()].map(|device| root_mean_square(&of(device), &exact));
        assert!(
            gpu < cpu.mul_add(2.0, 2e-5),
            "{}: {gpu:e} RMS, {cpu:e} on the CPU",
            case.name
        );
    }
}

#[test]
fn gradients_of_couplings_on_a_gpu_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for case in couplings() {
        let of = |device: &Device| {
            let map = case.on(device).train();
            let context = coupled_context(4).on((device, SINGLE));
            let (y, log_det) = map
                .inverse(on(&draw(doubled(), 4, 4), device), &context)
                .unwrap();
            let loss = y.square().sum() * 0.5 - log_det.sum();
            let found = gradients(&map, &loss.backward()).into_iter();
            found.map(f64::from).collect::<Vec<_>>()
        };
        let off = apart(&of(&gpu), &of(&Device::flex()));
        assert!(off < 1e-4, "{}: {off:e}", case.name);
    }
}

#[test]
fn double_precision_is_refused_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let x = divergence::tensor::<3>(vec![0.0; 15], [1, POINTS, 3], &gpu, DType::F64);
    let context = Context::alike(POINTS, Samples::consecutive(0, 0..1), &gpu, DType::F64);
    let flow = flow(fields()[0].on(&gpu), space(3), 1);
    let refused = [
        flow.forward(x.clone(), &context).map(|_| ()),
        flow.inverse(x.clone(), &context).map(|_| ()),
        flow.transport(x.clone(), &context).map(|_| ()),
        couplings()[0].on(&gpu).forward(x, &context).map(|_| ()),
    ];
    for found in refused {
        assert_eq!(found.unwrap_err(), FlowError::Precision);
    }
}
