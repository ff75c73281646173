//! Isomorphisms of coloured graphs, by backtracking along bonds.

/// A graph whose vertices have colours; only equally coloured vertices are matched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Graph<'a> {
    /// For each vertex those it is joined with.
    pub neighbours: &'a [Vec<usize>],
    /// Colours, refined so that vertices of one colour have equally coloured neighbours.
    pub colours: &'a [usize],
}

/// Whether a vertex may go to another, given the images of all vertices so far ([`NOWHERE`]: none yet).
pub(crate) type Accept<'a> = dyn Fn(usize, usize, &[usize]) -> bool + 'a;

/// All isomorphisms of one graph to another, one after the other: vertex `k` goes to `item[k]`.
///
/// Vertices are placed in breadth-first order, those at the ends last, so that each but the first of its component has few candidates: the neighbours of the
/// image of the neighbour it was reached from. The refined colours leave dead ends only in highly regular graphs; a step limit bounds those.
pub(crate) struct Search<'a> {
    source: Graph<'a>,
    target: Graph<'a>,
    /// Source vertices in the order of placing, each with the earlier neighbour it was reached from.
    order: Vec<(usize, Option<usize>)>,
    /// For each placed depth the candidates left, the next one last.
    candidates: Vec<Vec<usize>>,
    image: Vec<usize>,
    used: Vec<bool>,
    first: Option<usize>,
    accept: Option<&'a Accept<'a>>,
    steps: usize,
    finished: bool,
    gave_up: bool,
}

/// The image of a vertex that is not placed.
pub(crate) const NOWHERE: usize = usize::MAX;

impl<'a> Search<'a> {
    /// Searches from `source` to `target`; `pinned` demands that one vertex goes to another. Gives up after `steps` placements.
    pub fn new(
        source: Graph<'a>,
        target: Graph<'a>,
        pinned: Option<(usize, usize)>,
        steps: usize,
    ) -> Self {
        let count = source.neighbours.len();
        let start = pinned.map(|(from, _)| from);
        let mut search = Self {
            source,
            target,
            order: breadth_first(source.neighbours, start),
            candidates: Vec::with_capacity(count),
            image: vec![NOWHERE; count],
            used: vec![false; target.neighbours.len()],
            first: pinned.map(|(_, to)| to),
            accept: None,
            steps,
            finished: count != target.neighbours.len(),
            gave_up: false,
        };
        if !search.finished && count > 0 {
            search.open();
        }
        search
    }

    /// Places vertices only where `accept` lets them.
    pub fn accepting(mut self, accept: &'a Accept<'a>) -> Self {
        self.accept = Some(accept);
        self.candidates.clear();
        if !self.finished && !self.order.is_empty() {
            self.open();
        }
        self
    }

    /// Whether the search ended at its limit of steps rather than at its end.
    pub fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// Lists the candidates of the next vertex, so that they are tried in ascending order.
    fn open(&mut self) {
        let depth = self.candidates.len();
        let (vertex, from) = self.order[depth];
        let fits = |&candidate: &usize| {
            !self.used[candidate]
                && self.target.colours[candidate] == self.source.colours[vertex]
                && (depth > 0 || self.first.is_none_or(|first| first == candidate))
                && self.keeps_bonds(vertex, candidate)
                && self
                    .accept
                    .is_none_or(|accept| accept(vertex, candidate, &self.image))
        };
        let mut candidates = match from {
            Some(from) => {
                let around = &self.target.neighbours[self.image[from]];
                around.iter().copied().filter(fits).collect::<Vec<_>>()
            }
            None => (0..self.target.neighbours.len()).filter(fits).collect(),
        };
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        self.candidates.push(candidates);
    }

    /// Whether `candidate` is joined with the images of all placed neighbours of `vertex`.
    /// Equal degrees and injectivity make that enough: no further bonds can be left over in the end.
    fn keeps_bonds(&self, vertex: usize, candidate: usize) -> bool {
        self.source.neighbours[vertex].iter().all(|&other| {
            let image = self.image[other];
            image == NOWHERE || self.target.neighbours[candidate].contains(&image)
        })
    }

    /// Takes back the vertex placed at the deepest open level, if one is.
    fn lift(&mut self) {
        let (vertex, _) = self.order[self.candidates.len() - 1];
        let image = std::mem::replace(&mut self.image[vertex], NOWHERE);
        if image != NOWHERE {
            self.used[image] = false;
        }
    }
}

impl Iterator for Search<'_> {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        if !self.finished && self.order.is_empty() {
            self.finished = true;
            return Some(Vec::new());
        }
        while !self.finished && !self.candidates.is_empty() {
            self.lift();
            let depth = self.candidates.len() - 1;
            let Some(candidate) = self.candidates[depth].pop() else {
                self.candidates.pop();
                continue;
            };
            if self.steps == 0 {
                self.gave_up = true;
                break;
            }
            self.steps -= 1;
            self.image[self.order[depth].0] = candidate;
            self.used[candidate] = true;
            if depth + 1 == self.order.len() {
                return Some(self.image.clone());
            }
            self.open();
        }
        self.finished = true;
        None
    }
}

/// The vertices in breadth-first order, component by component, each with the earlier neighbour it was reached from.
fn breadth_first(neighbours: &[Vec<usize>], start: Option<usize>) -> Vec<(usize, Option<usize>)> {
    let mut seen = vec![false; neighbours.len()];
    let mut order = Vec::with_capacity(neighbours.len());
    for root in start.into_iter().chain(0..neighbours.len()) {
        if std::mem::replace(&mut seen[root], true) {
            continue;
        }
        let mut next = order.len();
        order.push((root, None));
        while let Some(&(vertex, _)) = order.get(next) {
            next += 1;
            for &neighbour in &neighbours[vertex] {
                if !std::mem::replace(&mut seen[neighbour], true) {
                    order.push((neighbour, Some(vertex)));
                }
            }
        }
    }
    // Ends last: which of three hydrogens goes where must not be tried anew for every dead end elsewhere.
    let is_end =
        |&(vertex, from): &(usize, Option<usize>)| from.is_some() && neighbours[vertex].len() == 1;
    let (ends, mut order): (Vec<_>, Vec<_>) = order.into_iter().partition(is_end);
    order.extend(ends);
    order
}
