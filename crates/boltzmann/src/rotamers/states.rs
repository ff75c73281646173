//! Which joint states there are, and which of them each sample and frame is in.

use std::collections::BTreeMap;

use super::Angles;
use crate::torsion::Well;
use crate::weights::Weights;

/// Joint states that are told apart at most: the most populated ones. The others are pooled.
pub const MOST_STATES: usize = 256;

/// The wells of each torsion that share its circle.
pub struct Rotamers {
    wells: Vec<Vec<Well>>,
}

impl Rotamers {
    /// Those of these torsions.
    pub fn new(torsions: &[&Angles]) -> Self {
        let wells = torsions.iter().map(|angles| angles.torsion.kind.rotamers());
        Self {
            wells: wells.collect(),
        }
    }

    /// How many states there are.
    pub fn possible(&self) -> u64 {
        let counts = self.wells.iter().map(|wells| wells.len() as u64);
        counts.fold(1, u64::saturating_mul)
    }

    /// What the torsions are called.
    pub fn title(&self, torsions: &[&Angles]) -> String {
        match torsions {
            [angles] => angles.torsion.name.clone(),
            _ => format!("{} torsions together", self.wells.len()),
        }
    }

    /// The well of each angle; none for a configuration one of whose angles is no number.
    fn key(&self, angles: impl Iterator<Item = f64>) -> Option<Vec<u8>> {
        let wells = self.wells.iter().zip(angles);
        wells
            .map(|(wells, angle)| {
                let found = wells.iter().position(|well| well.contains(angle));
                found.map(|well| well as u8)
            })
            .collect()
    }

    /// What a state is called.
    pub fn name(&self, key: &[u8]) -> String {
        let names = self.wells.iter().zip(key);
        let names: Vec<&str> = names
            .map(|(wells, &well)| wells[well as usize].name)
            .collect();
        names.join(", ")
    }
}

/// Which state every sample and every frame is in.
pub struct States {
    /// Those told apart, in order of their wells.
    pub keys: Vec<Vec<u8>>,
    /// The state of each sample of the flow and of each frame of the reference: that of all others is the number of keys; a sample that has none, and
    /// no weight, is in `usize::MAX`.
    pub of: [Vec<usize>; 2],
    /// How many either side has seen.
    pub seen: usize,
}

impl States {
    /// Finds them.
    pub fn new(rotamers: &Rotamers, torsions: &[&Angles], weights: &Weights) -> Self {
        let keys = |columns: Vec<&[f64]>, count: usize| -> Vec<Option<Vec<u8>>> {
            let key = |k: usize| rotamers.key(columns.iter().map(|angles| angles[k]));
            (0..count).map(key).collect()
        };
        let frames = torsions.first().map_or(0, |angles| angles.reference.len());
        let flow = torsions.iter().map(|angles| &angles.flow[..]);
        let reference = torsions.iter().map(|angles| &angles.reference[..]);
        let sides = [
            keys(flow.collect(), weights.len()),
            keys(reference.collect(), frames),
        ];
        let mut found: BTreeMap<&[u8], [f64; 2]> = BTreeMap::new();
        let of_flow = sides[0].iter().zip(weights.normalised());
        for (key, w) in of_flow.filter(|(_, w)| **w > 0.0) {
            if let Some(key) = key {
                found.entry(key).or_default()[0] += w;
            }
        }
        for key in sides[1].iter().flatten() {
            found.entry(key).or_default()[1] += 1.0 / frames as f64;
        }
        let seen = found.len();
        let all: Vec<Vec<u8>> = match &rotamers.wells[..] {
            [wells] => (0..wells.len() as u8).map(|well| vec![well]).collect(),
            _ => most_populated(&found),
        };
        let index: BTreeMap<&[u8], usize> = all.iter().map(Vec::as_slice).zip(0..).collect();
        let state = |key: &Option<Vec<u8>>| match key {
            Some(key) => index.get(&key[..]).copied().unwrap_or(all.len()),
            None => usize::MAX,
        };
        let of = sides
            .each_ref()
            .map(|keys| keys.iter().map(state).collect());
        Self {
            of,
            seen,
            keys: all,
        }
    }
}

/// The keys of the most populated states on either side, in order of their wells.
fn most_populated(found: &BTreeMap<&[u8], [f64; 2]>) -> Vec<Vec<u8>> {
    let mut by_population: Vec<(&[u8], f64)> = found
        .iter()
        .map(|(key, [flow, reference])| (*key, flow.max(*reference)))
        .collect();
    by_population.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    by_population.truncate(MOST_STATES);
    let mut keys: Vec<Vec<u8>> = by_population.iter().map(|(key, _)| key.to_vec()).collect();
    keys.sort_unstable();
    keys
}
