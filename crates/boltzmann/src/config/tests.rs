use super::*;

const SOUND: &str = r#"
[model.cartesian]
noise = "data"
schedule = 1.0
alike = "attached"

[model.cartesian.field.egnn]
width = 8
layers = 2
channels = 1
edges = "initial"

[model.cartesian.solver]
method = "rk4"
divergence = "exact"
steps = { fixed = { count = 4 } }

[training]
seed = 1
steps = 10
batch = 16
learning_rate = 1e-3
warm_up = 2
weight_decay = 1e-4
clip = 1.0
average = 0.9
objective = { flow_matching = { pairing = "aligned" } }
dequantize = false
rarest = 0.0
validation = 0.1
validate_every = 5
patience = 3
checkpoint_every = 5
"#;

const FIXED: &str = "{ fixed = { count = 4 } }";

fn checked(text: &str) -> Result<(), ConfigError> {
    toml::from_str::<Config>(text).unwrap().check()
}

fn refusal(from: &str, to: &str) -> String {
    assert_eq!(SOUND.matches(from).count(), 1, "{from}");
    checked(&SOUND.replace(from, to)).unwrap_err().to_string()
}

fn adaptive(absolute: &str, relative: &str, limit: usize) -> String {
    format!(
        "{{ adaptive = {{ tolerance = {{ absolute = {absolute}, relative = {relative} }}, limit = {limit} }} }}"
    )
}

#[test]
fn a_solver_that_cannot_solve_is_refused() {
    let found = refusal("count = 4", "count = 0");
    assert!(
        found.starts_with(
            "model.cartesian.solver.steps.fixed.count is 0, but must be a whole number"
        )
    );
    for (absolute, relative, name, value) in [
        ("nan", "1e-5", "absolute", "NaN"),
        ("0.0", "1e-5", "absolute", "0"),
        ("-1e-3", "1e-5", "absolute", "-0.001"),
        ("inf", "1e-5", "absolute", "inf"),
        ("1e-5", "nan", "relative", "NaN"),
        ("1e-5", "-1.0", "relative", "-1"),
    ] {
        let found = refusal(FIXED, &adaptive(absolute, relative, 100));
        let expected = format!(
            "model.cartesian.solver.steps.adaptive.tolerance.{name} is {value}, but must be"
        );
        assert!(found.starts_with(&expected), "{found}");
    }
    let found = refusal(FIXED, &adaptive("1e-5", "1e-5", 0));
    assert!(found.starts_with("model.cartesian.solver.steps.adaptive.limit is 0"));
    let hutchinson = r#"{ hutchinson = { probes = 0, noise = "rademacher" } }"#;
    let found = refusal(r#""exact""#, hutchinson);
    assert!(found.starts_with("model.cartesian.solver.divergence.hutchinson.probes is 0"));
}

#[test]
fn adaptive_steps_need_a_method_that_estimates_its_error() {
    let text = SOUND.replace(FIXED, &adaptive("1e-5", "0.0", 100));
    for method in ["euler", "midpoint", "rk4"] {
        let found = checked(&text.replace("rk4", method)).unwrap_err();
        let expected =
            format!("model.cartesian.solver.method is {method:?}, which does not estimate");
        assert!(found.to_string().starts_with(&expected), "{found}");
    }
    for method in ["bosh3", "dopri5", "tsit5"] {
        checked(&text.replace("rk4", method)).unwrap();
    }
}

#[test]
fn no_number_of_a_config_may_be_nan() {
    checked(SOUND).unwrap();
    for (from, name) in [
        ("schedule = 1.0", "model.cartesian.schedule"),
        ("learning_rate = 1e-3", "training.learning_rate"),
        ("weight_decay = 1e-4", "training.weight_decay"),
        ("clip = 1.0", "training.clip"),
        ("average = 0.9", "training.average"),
        ("rarest = 0.0", "training.rarest"),
        ("validation = 0.1", "training.validation"),
    ] {
        let key = from.split_once(' ').unwrap().0;
        let found = refusal(from, &format!("{key} = nan"));
        assert!(found.starts_with(&format!("{name} is NaN")), "{found}");
    }
    let found = refusal("clip = 1.0", "clip = 1.0\nhotter = nan");
    assert!(found.starts_with("training.hotter is NaN"), "{found}");
}

#[test]
fn hotter_frames_are_for_flows_of_one_temperature_that_learn_from_frames() {
    checked(&SOUND.replace("clip = 1.0", "clip = 1.0\nhotter = 0.1")).unwrap();
    let of_own = "objective = { flow_matching = { pairing = { reflow = { pairs = 100 } } } }";
    let objective = SOUND.lines().find(|line| line.starts_with("objective"));
    let found = refusal(objective.unwrap(), &format!("hotter = 0.1\n{of_own}"));
    assert!(
        found.starts_with("training.hotter is 0.1, but the objective"),
        "{found}"
    );
}

#[test]
fn patience_needs_data_held_out() {
    let found = refusal("validation = 0.1", "validation = 0.0");
    assert!(found.starts_with("training.patience is 3, but must be 0 where"));
    let idle = SOUND.replace("patience = 3", "patience = 0");
    checked(&idle.replace("validation = 0.1", "validation = 0.0")).unwrap();
}

#[test]
fn a_likelihood_through_a_solve_has_steps_and_probes_and_is_of_a_cartesian_flow() {
    let through_solve = |steps: usize, divergence: &str| {
        format!("{{ likelihood_through_solve = {{ steps = {steps}, divergence = {divergence} }} }}")
    };
    let hutchinson = |probes: usize| {
        format!(r#"{{ hutchinson = {{ probes = {probes}, noise = "rademacher" }} }}"#)
    };
    let matching = r#"{ flow_matching = { pairing = "aligned" } }"#;
    for text in [
        through_solve(8, &hutchinson(1)),
        through_solve(1, r#""exact""#),
    ] {
        let text = SOUND.replace(matching, &text);
        checked(&text).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
    let regularized = |kinetic: f64| {
        let objective = through_solve(8, &hutchinson(1));
        let regularization = format!("regularization = {{ kinetic = {kinetic}, jacobian = 0.02 }}");
        objective.replacen("steps = 8", &format!("steps = 8, {regularization}"), 1)
    };
    let config: Config = toml::from_str(&SOUND.replace(matching, &regularized(0.01))).unwrap();
    let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    config.check().unwrap();
    let name = "training.objective.likelihood_through_solve";
    let found = refusal(matching, &regularized(-0.01));
    assert!(found.starts_with(&format!("{name}.regularization.kinetic is -0.01")));
    let found = refusal(matching, &through_solve(0, &hutchinson(1)));
    assert!(found.starts_with(&format!("{name}.steps is 0, but must be a whole")));
    let found = refusal(matching, &through_solve(8, &hutchinson(0)));
    assert!(found.starts_with(&format!("{name}.divergence.hutchinson.probes is 0")));
    // The objective that is named instead is one that is accepted.
    let found = refusal(matching, r#""likelihood""#);
    let (_, instead) = found.split_once(" or ").unwrap();
    checked(&SOUND.replace(matching, instead)).unwrap();
    let internal = internal("layers = 4", "layers = 4");
    let found = internal.replace("\"likelihood\"", &through_solve(8, &hutchinson(1)));
    let found = checked(&found).unwrap_err().to_string();
    assert!(
        found.starts_with("a flow of model.internal is trained by"),
        "{found}"
    );
}

const INTERNAL: &str = r#"
[model.internal]
map = { spline = { bins = 8 } }
scheme = "coupling"
between = "nothing"
layers = 4
network = { width = 96, layers = 2 }
stiff = "scaled"
rotors = "folded"
margin = 0.25
hottest = 1.0
"#;

/// The experiment with a flow of internal coordinates and one word of it replaced.
fn internal(from: &str, to: &str) -> String {
    let (_, training) = SOUND.split_once("[training]").unwrap();
    let training = training.replace(
        r#"{ flow_matching = { pairing = "aligned" } }"#,
        r#""likelihood""#,
    );
    assert_eq!(INTERNAL.matches(from).count(), 1, "{from}");
    format!("{}[training]{training}", INTERNAL.replace(from, to))
}

#[test]
fn steps_of_the_likelihood_alone_need_a_likelihood_and_are_written_if_there_are_some() {
    let with = |likelihood: &str, start: &str| {
        let energy = format!(
            "{{ energy = {{ likelihood = {likelihood}, own = 0.0, pool = 0.0, threshold = 100.0, steepest = 100.0, hottest = 1.0, cooling = 0{start} }} }}"
        );
        internal("layers = 4", "layers = 4").replace("\"likelihood\"", &energy)
    };
    let found = checked(&with("0.0", ", start = 5"))
        .unwrap_err()
        .to_string();
    assert!(
        found.starts_with("training.objective.energy.start is 5 steps"),
        "{found}"
    );
    for (start, is_written) in [("", false), (", start = 0", false), (", start = 5", true)] {
        let text = with("0.3", start);
        checked(&text).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        let again = toml::to_string(&config).unwrap();
        assert_eq!(again.contains("start = 5"), is_written, "{again}");
        assert_eq!(again.contains("start"), is_written, "{again}");
        assert_eq!(toml::from_str::<Config>(&again).unwrap(), config);
    }
}

const ATTENTION: &str = "{ attention = { width = 64, heads = 4, layers = 2 } }";
const PERCEPTRON: &str = "{ width = 96, layers = 2 }";

#[test]
fn a_network_is_one_of_two_kinds_and_reads_as_it_was_written() {
    for (text, expected) in [
        (
            PERCEPTRON,
            Network::Perceptron(boltzflow_flow::Size {
                width: 96,
                layers: 2,
            }),
        ),
        (
            ATTENTION,
            Network::Attention(boltzflow_flow::AttentionSize {
                width: 64,
                heads: 4,
                layers: 2,
            }),
        ),
    ] {
        let config: Config = toml::from_str(&internal(PERCEPTRON, text)).unwrap();
        config.check().unwrap();
        let ModelConfig::Internal(found) = config.model else {
            panic!("it is a flow of internal coordinates");
        };
        assert_eq!(found.network, expected);
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
    for (text, message) in [
        ("{ width = 96 }", "a network is either"),
        (
            "{ width = 96, layers = 2, attention = { width = 64, heads = 4, layers = 2 } }",
            "a network is either",
        ),
        (
            "{ width = 96, layers = 2, heads = 4 }",
            "unknown field `heads`",
        ),
        (
            "{ attention = { width = 64, heads = 4, layers = 2, depth = 1 } }",
            "unknown field `depth`",
        ),
        (
            "{ attention = { width = 64, heads = 4 } }",
            "missing field `layers`",
        ),
    ] {
        let found = toml::from_str::<Config>(&internal(PERCEPTRON, text)).unwrap_err();
        assert!(found.to_string().contains(message), "{found}");
    }
}

#[test]
fn attention_needs_coordinates_that_labels_can_be_of() {
    let attentive = |from: &str, to: &str| {
        let text = internal(PERCEPTRON, ATTENTION);
        assert_eq!(text.matches(from).count(), 1, "{from}");
        checked(&text.replace(from, to)).unwrap_err().to_string()
    };
    let own = "model.internal.network.attention";
    for (from, to, message) in [
        (
            "stiff = \"scaled\"",
            "stiff = \"whitened\"",
            "goes with model.internal.stiff = \"scaled\"",
        ),
        (
            "scheme = \"coupling\"",
            "scheme = \"maf\"",
            "goes with model.internal.scheme = \"coupling\"",
        ),
        (
            "map = { spline = { bins = 8 } }\nscheme = \"coupling\"\nbetween = \"nothing\"",
            "map = \"affine\"\nscheme = \"coupling\"\nbetween = \"linear\"",
            "goes with model.internal.between = \"nothing\"",
        ),
        (
            "heads = 4",
            "heads = 5",
            "must be a multiple of its 5 heads",
        ),
        (
            "heads = 4",
            "heads = 0",
            ".heads is 0, but must be a whole number",
        ),
        ("width = 64", "width = 0", ".width is 0, but must be"),
        (
            "heads = 4, layers = 2",
            "heads = 4, layers = 0",
            ".layers is 0, but must be",
        ),
    ] {
        let found = attentive(from, to);
        assert!(found.starts_with(own) && found.contains(message), "{found}");
    }
}

const FITTED: &str = r#"
[model.fitted]
dependence = "copula"
bins = 32
rotors = "folded"
margin = 0.25

[fit]
pseudo_count = 1.0
rarest = 0.0
validation = 0.1
dequantize = false
seed = 1
"#;

#[test]
fn a_fit_has_a_section_of_its_own_and_is_written_as_it_was_read() {
    let config: Config = toml::from_str(FITTED).unwrap();
    config.check().unwrap();
    let text = toml::to_string(&config).unwrap();
    assert!(text.contains("[fit]") && !text.contains("[training]"));
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    for (from, to, message) in [
        ("bins = 32", "bins = 0", "model.fitted.bins is 0"),
        (
            "margin = 0.25",
            "margin = nan",
            "model.fitted.margin is NaN",
        ),
        (
            "pseudo_count = 1.0",
            "pseudo_count = 0.0",
            "fit.pseudo_count is 0",
        ),
        ("rarest = 0.0", "rarest = nan", "fit.rarest is NaN"),
        (
            "validation = 0.1",
            "validation = 0.9",
            "fit.validation is 0.9",
        ),
    ] {
        let found = checked(&FITTED.replace(from, to)).unwrap_err().to_string();
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn sections_that_do_not_go_together_are_refused() {
    let (fitted, fit) = FITTED.split_at(FITTED.find("[fit]").unwrap());
    let (cartesian, training) = SOUND.split_at(SOUND.find("[training]").unwrap());
    for (model, learning) in [
        (fitted, training),
        (cartesian, fit),
        (fitted, ""),
        (FITTED, training),
    ] {
        let found = toml::from_str::<Config>(&format!("{model}{learning}")).unwrap_err();
        let message = found.to_string();
        assert!(
            message.contains("either the sections [model.fitted] and [fit]"),
            "{message}"
        );
    }
    let misspelt = FITTED.replace("seed", "sead");
    let found = toml::from_str::<Config>(&misspelt).unwrap_err().to_string();
    assert!(found.contains("unknown field `sead`"), "{found}");
    // What is not in a file has no other name there.
    let objective = SOUND.replace(r#"{ flow_matching = { pairing = "aligned" } }"#, "\"fit\"");
    assert!(toml::from_str::<Config>(&objective).is_err());
}

#[test]
fn every_field_is_told_by_its_kind_and_has_sizes_in_range() {
    let egnn =
        "[model.cartesian.field.egnn]\nwidth = 8\nlayers = 2\nchannels = 1\nedges = \"initial\"\n";
    assert_eq!(SOUND.matches(egnn).count(), 1);
    let with = |text: &str| SOUND.replace(egnn, &format!("[model.cartesian.field.{text}\n"));
    let kernel = "kernel]\nprofile = \"mixture\"\nfunctions = 8\nspan = [-3.0, 3.0]\ntimes = 4";
    let perceptron = kernel.replace("\"mixture\"", "{ perceptron = { width = 8, layers = 1 } }");
    let hollow = "hollow]\nwidth = 8\nlayers = 2";
    let transformer =
        "transformer]\nwidth = 8\nheads = 2\nlayers = 2\nradial = 8\nsymmetry = \"rotations\"";
    for sound in [kernel, &perceptron, hollow, transformer] {
        let text = with(sound);
        checked(&text).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        assert!(toml::from_str::<Config>(&with(&format!("{sound}\ndepth = 1"))).is_err());
    }
    for (sound, from, to, expected) in [
        (
            kernel,
            "functions = 8",
            "functions = 0",
            "kernel.functions is 0",
        ),
        (kernel, "3.0]", "-3.0]", "kernel.span is -3"),
        (kernel, "[-3.0", "[nan", "kernel.span is NaN"),
        (
            &perceptron,
            "layers = 1",
            "layers = 0",
            "kernel.profile.perceptron.layers is 0",
        ),
        (hollow, "layers = 2", "layers = 65", "hollow.layers is 65"),
        (
            transformer,
            "radial = 8",
            "radial = 0",
            "transformer.radial is 0",
        ),
        (
            transformer,
            "heads = 2",
            "heads = 3",
            "transformer.width is 8, but must be a multiple",
        ),
    ] {
        assert!(sound.contains(from));
        let found = checked(&with(&sound.replace(from, to)))
            .unwrap_err()
            .to_string();
        let expected = format!("model.cartesian.field.{expected}");
        assert!(found.starts_with(&expected), "{found}");
    }
}

const AUGMENTED: &str = r#"
[model.augmented]
coupling = "spherical"
map = { spline = { bins = 8 } }
layers = 12
width = 32
rounds = 2
channels = 8
spread = 1.0
alike = "symmetric"
"#;

/// The experiment with a flow of positions and auxiliary points, one word of it replaced.
fn augmented(from: &str, to: &str) -> String {
    let internal = internal("layers = 4", "layers = 4");
    let text = internal.replace(INTERNAL, AUGMENTED);
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[test]
fn a_flow_with_auxiliary_points_reads_as_it_was_written_and_refuses_what_it_cannot_be() {
    let spline = "{ spline = { bins = 8 } }";
    let energy = |pool: &str| {
        format!(
            "{{ energy = {{ likelihood = 0.3, own = 0.1, pool = {pool}, threshold = 100.0, steepest = 100.0, hottest = 2.0, cooling = 5 }} }}"
        )
    };
    for (from, to) in [
        ("\"spherical\"", "\"vector\""),
        ("\"spherical\"", "\"projected\""),
        (spline, "{ bump = { ramps = 4 } }"),
        ("\"likelihood\"", &energy("0.0")),
    ] {
        let text = augmented(from, to);
        checked(&text).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
    for (from, to, message) in [
        ("layers = 12", "layers = 0", "model.augmented.layers is 0"),
        ("width = 32", "width = 0", "model.augmented.width is 0"),
        ("rounds = 2", "rounds = 0", "model.augmented.rounds is 0"),
        (
            "channels = 8",
            "channels = 0",
            "model.augmented.channels is 0",
        ),
        (
            "bins = 8",
            "bins = 0",
            "model.augmented.map.spline.bins is 0",
        ),
        (
            spline,
            "{ bump = { ramps = 0 } }",
            "model.augmented.map.bump.ramps is 0",
        ),
        (
            "spread = 1.0",
            "spread = 0.0",
            "model.augmented.spread is 0",
        ),
        (
            "spread = 1.0",
            "spread = nan",
            "model.augmented.spread is NaN",
        ),
        (
            spline,
            "\"affine\"",
            "model.augmented.coupling = \"spherical\" goes with",
        ),
        (
            "\"likelihood\"",
            &energy("0.2"),
            "training.objective.energy.pool is 0.2, but a flow of model.augmented",
        ),
        (
            "\"likelihood\"",
            "{ flow_matching = { pairing = \"aligned\" } }",
            "a flow of model.augmented is trained by training.objective = \"likelihood\"",
        ),
    ] {
        let found = checked(&augmented(from, to)).unwrap_err().to_string();
        assert!(found.starts_with(message), "{found}");
    }
    let shift = augmented("\"spherical\"", "\"vector\"").replace(spline, "\"additive\"");
    let found = checked(&shift).unwrap_err().to_string();
    assert!(found.starts_with("model.augmented.coupling = \"vector\" goes with"));
}

#[test]
fn samples_of_its_own_are_told_of_in_full_and_weighted_by_exact_densities() {
    let own = "improvement = { start = 0, every = 500, samples = 4096, rounds = 2, share = 0.5 }";
    let matching = r#"pairing = "aligned" }"#;
    let with = |own: &str| SOUND.replace(matching, &format!("pairing = \"aligned\", {own} }}"));
    checked(&with(own)).unwrap();
    let config: Config = toml::from_str(&with(own)).unwrap();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    let plain: Config = toml::from_str(SOUND).unwrap();
    assert!(!toml::to_string(&plain).unwrap().contains("improvement"));
    assert!(config.training.objective.needs_data());
    let alone: Config = toml::from_str(&with(&own.replace("0.5", "1.0"))).unwrap();
    assert!(alone.training.objective.needs_flow() && !alone.training.objective.needs_data());
    for (from, to) in [
        ("every = 500", "every = 0"),
        ("samples = 4096", "samples = 99"),
        ("rounds = 2", "rounds = 0"),
        ("share = 0.5", "share = 0.0"),
        ("share = 0.5", "share = nan"),
        ("share = 0.5", "share = 1.5"),
        (
            "start = 0, every = 500, samples = 4096, rounds = 2, share = 0.5",
            "start = 3, every = 500, samples = 4096, rounds = 2, share = 1.0",
        ),
    ] {
        let found = checked(&with(&own.replace(from, to)))
            .unwrap_err()
            .to_string();
        let (name, _) = to.split_once(' ').unwrap();
        let expected = format!("training.objective.flow_matching.improvement.{name} is ");
        assert!(found.starts_with(&expected), "{found}");
    }
    let estimated = r#"{ hutchinson = { probes = 1, noise = "rademacher" } }"#;
    let found = checked(&with(own).replace(r#""exact""#, estimated)).unwrap_err();
    assert!(
        found
            .to_string()
            .contains("set model.cartesian.solver.divergence")
    );
    assert!(toml::from_str::<Config>(&with("improvement = { every = 500 }")).is_err());
}

#[test]
fn reflow_makes_its_pairs_itself() {
    let with = |pairing: &str| SOUND.replace(r#""aligned""#, pairing);
    let text = with("{ reflow = { pairs = 1000 } }");
    checked(&text).unwrap();
    let config: Config = toml::from_str(&text).unwrap();
    assert_eq!(
        toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(),
        config
    );
    assert!(config.training.objective.needs_flow());
    let found = checked(&with("{ reflow = { pairs = 1 } }")).unwrap_err();
    let expected = "training.objective.flow_matching.pairing.reflow.pairs is 1, but must be";
    assert!(found.to_string().starts_with(expected), "{found}");
    let both = "{ reflow = { pairs = 9 } }, improvement = { start = 0, every = 5, samples = 100, rounds = 1, share = 0.5 }";
    let found = checked(&with(both)).unwrap_err();
    assert!(
        found.to_string().contains("leave out one of them"),
        "{found}"
    );
}

#[test]
fn annealing_has_distributions_steps_and_a_buffer_and_one_temperature() {
    let told = "{ fab = { between = 8, leapfrog = 4, least = 4096, most = 32768, updates = 8, correction = 10.0, threshold = 100.0 } }";
    let text = internal("layers = 4", "layers = 4").replace("\"likelihood\"", told);
    checked(&text).unwrap();
    let config: Config = toml::from_str(&text).unwrap();
    assert_eq!(
        toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(),
        config
    );
    assert!(!config.training.objective.needs_data() && !config.training.objective.needs_flow());
    for (from, to) in [
        ("between = 8", "between = 0"),
        ("leapfrog = 4", "leapfrog = 0"),
        ("least = 4096", "least = 0"),
        ("most = 32768", "most = 4095"),
        ("updates = 8", "updates = 0"),
        ("correction = 10.0", "correction = 0.5"),
        ("correction = 10.0", "correction = nan"),
        ("threshold = 100.0", "threshold = 0.0"),
    ] {
        let found = checked(&text.replace(from, to)).unwrap_err().to_string();
        let (name, _) = to.split_once(' ').unwrap();
        let expected = format!("training.objective.fab.{name} is ");
        assert!(found.starts_with(&expected), "{found}");
    }
    let found = checked(&text.replace("hottest = 1.0", "hottest = 2.0")).unwrap_err();
    assert!(
        found
            .to_string()
            .starts_with("training.objective.fab anneals"),
        "{found}"
    );
    let matching = r#"{ flow_matching = { pairing = "aligned" } }"#;
    let found = checked(&SOUND.replace(matching, told)).unwrap_err();
    assert!(
        found
            .to_string()
            .starts_with("a flow of model.cartesian is trained by")
    );
    // What is named instead is accepted.
    let found = checked(&text.replace(told, matching))
        .unwrap_err()
        .to_string();
    let (_, instead) = found.rsplit_once(" or ").unwrap();
    assert_eq!(instead, told);
}

/// The files of a folder and of those in it that end in `.toml`.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let found = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    found
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect()
}

#[test]
fn every_experiment_of_the_repository_is_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let is_list = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.contains("[[flow]]")
    };
    let experiments: Vec<_> = files(&folder)
        .into_iter()
        .filter(|path| !is_list(path))
        .collect();
    assert!(experiments.len() > 20);
    for path in experiments {
        let config = Config::read(&path);
        config.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
