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

/// The sites to keep, in order.
///
/// Within a residue the label with the largest total occupancy wins, the earlier on a tie, so that what is kept is one
/// conformation; an atom without a site of that label keeps its own best one.
pub(super) fn choose(sites: &[Site<'_>]) -> Vec<usize> {
    // A residue number, not a residue name: micro-heterogeneity gives the labels different names.
    let place = |site: &Site<'_>| {
        (
            site.residue.number,
            site.residue.insertion.to_owned(),
            site.residue.chain.to_owned(),
        )
    };
    let mut labels: HashMap<_, Vec<(&str, f64)>> = HashMap::new();
    for site in sites.iter().filter(|site| !site.alternate.is_empty()) {
        let totals = labels.entry(place(site)).or_default();
        match totals
            .iter_mut()
            .find(|(label, _)| *label == site.alternate)
        {
            Some((_, total)) => *total += site.occupancy,
            None => totals.push((site.alternate, site.occupancy)),
        }
    }
    let winners: HashMap<_, &str> = labels
        .into_iter()
        .filter_map(|(place, totals)| {
            let best = totals
                .iter()
                .map(|(_, total)| *total)
                .fold(f64::NEG_INFINITY, f64::max);
            totals
                .iter()
                .find(|(_, total)| *total >= best)
                .map(|(label, _)| (place, *label))
        })
        .collect();
    let mut best: HashMap<_, usize> = HashMap::new();
    let rank = |site: &Site<'_>| {
        (
            winners.get(&place(site)) == Some(&site.alternate),
            site.occupancy,
        )
    };
    for (index, site) in sites
        .iter()
        .enumerate()
        .filter(|(_, site)| !site.alternate.is_empty())
    {
        let kept = best.entry((place(site), site.name)).or_insert(index);
        let (ours, theirs) = (rank(site), rank(&sites[*kept]));
        if ours.0 & !theirs.0 || (ours.0 == theirs.0 && ours.1 > theirs.1) {
            *kept = index;
        }
    }
    sites
        .iter()
        .enumerate()
        .filter(|(index, site)| {
            site.alternate.is_empty() || best.get(&(place(site), site.name)) == Some(index)
        })
        .map(|(index, _)| index)
        .collect()
}
