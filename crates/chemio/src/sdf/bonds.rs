//! Bonds as both versions of the format write them.

use std::collections::BTreeMap;

use boltzflow_molecule::{Bond, BondOrder};

use crate::Fault;

/// The bonds of one table, checked as they come.
#[derive(Default)]
pub(super) struct Bonds(BTreeMap<[usize; 2], BondOrder>);

impl Bonds {
    /// Takes bond number `bond` between atoms `ends`, counted from 0.
    pub(super) fn insert(
        &mut self,
        bond: usize,
        ends: [usize; 2],
        order: BondOrder,
    ) -> Result<(), Fault> {
        let atoms = [ends[0] + 1, ends[1] + 1];
        if ends[0] == ends[1] {
            return Err(Fault::Bond {
                bond,
                atoms,
                problem: "which are one atom",
            });
        }
        let [a, b] = ends;
        match self.0.insert([a.min(b), a.max(b)], order) {
            Some(_) => Err(Fault::Bond {
                bond,
                atoms,
                problem: "which an earlier bond joins already",
            }),
            None => Ok(()),
        }
    }

    /// All of them, sorted.
    pub(super) fn finish(self) -> Vec<Bond> {
        self.0
            .into_iter()
            .map(|(atoms, order)| Bond { atoms, order })
            .collect()
    }
}

/// What a type number means: 5 to 10 are queries and coordination, whose order is not known.
pub(super) fn order(bond: usize, text: &str) -> Result<BondOrder, Fault> {
    match text.trim() {
        "1" => Ok(BondOrder::Single),
        "2" => Ok(BondOrder::Double),
        "3" => Ok(BondOrder::Triple),
        "4" => Ok(BondOrder::Aromatic),
        "5" | "6" | "7" | "8" | "9" | "10" => Ok(BondOrder::Unknown),
        found => Err(Fault::BondType {
            bond,
            found: found.to_owned(),
        }),
    }
}
