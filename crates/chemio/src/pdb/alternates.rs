//! Alternate locations: one atom in several places, of which one is kept.

use std::collections::HashMap;

use boltzflow_molecule::Element;

/// What tells residues apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Residue<'a> {
    pub(super) name: &'a str,
    pub(super) number: i64,
    pub(super) insertion: &'a str,
    pub(super) chain: &'a str,
}

/// One line of a model.
#[derive(Clone, Debug)]
pub(super) struct Site<'a> {
    pub(super) serial: &'a str,
    pub(super) name: &'a str,
    pub(super) alternate: &'a str,
    pub(super) residue: Residue<'a>,
    pub(super) position: [f64; 3],
    pub(super) occupancy: f64,
    pub(super) element: Element,
    pub(super) charge: i32,
}

/// What tells the places of residues apart: a number, not a name, because alternate locations may differ in their residue's name.
type Place<'a> = (i64, &'a str, &'a str);

/// The place of a site's residue.
fn place<'a>(site: &Site<'a>) -> Place<'a> {
    (
        site.residue.number,
        site.residue.insertion,
        site.residue.chain,
    )
}

/// One label of a residue's alternate locations.
struct Label<'a> {
    name: &'a str,
    residue: &'a str,
    occupancy: f64,
    sites: f64,
}

/// The label of largest mean occupancy in each residue, the earlier on a tie.
fn winners<'a>(sites: &[Site<'a>]) -> HashMap<Place<'a>, Label<'a>> {
    let mut labels: HashMap<_, Vec<Label<'_>>> = HashMap::new();
    for site in sites.iter().filter(|site| !site.alternate.is_empty()) {
        let labels = labels.entry(place(site)).or_default();
        let known = labels.iter().position(|label| label.name == site.alternate);
        let index = known.unwrap_or_else(|| {
            labels.push(Label {
                name: site.alternate,
                residue: site.residue.name,
                occupancy: 0.0,
                sites: 0.0,
            });
            labels.len() - 1
        });
        labels[index].occupancy += site.occupancy;
        labels[index].sites += 1.0;
    }
    let better = |best: Label<'a>, label: Label<'a>| {
        if label.occupancy / label.sites > best.occupancy / best.sites {
            label
        } else {
            best
        }
    };
    labels
        .into_iter()
        .filter_map(|(place, labels)| Some((place, labels.into_iter().reduce(better)?)))
        .collect()
}

/// The sites to keep, in order.
///
/// Within a residue the label with the largest mean occupancy wins, the earlier on a tie, so that what is kept is one
/// conformation; an atom of the same residue without a site of that label keeps its own best one.
pub(super) fn choose(sites: &[Site<'_>]) -> Vec<usize> {
    let winners = winners(sites);
    let mut best: HashMap<_, usize> = HashMap::new();
    for (index, site) in sites
        .iter()
        .enumerate()
        .filter(|(_, site)| !site.alternate.is_empty())
    {
        let Some(winner) = winners
            .get(&place(site))
            .filter(|winner| winner.residue == site.residue.name)
        else {
            continue;
        };
        let rank = |site: &Site<'_>| {
            (
                f64::from(u8::from(site.alternate == winner.name)),
                site.occupancy,
            )
        };
        let kept = best.entry((place(site), site.name)).or_insert(index);
        if rank(site) > rank(&sites[*kept]) {
            *kept = index;
        }
    }
    let kept = |index: usize, site: &Site<'_>| {
        site.alternate.is_empty() || best.get(&(place(site), site.name)) == Some(&index)
    };
    (0..sites.len())
        .filter(|&index| kept(index, &sites[index]))
        .collect()
}
