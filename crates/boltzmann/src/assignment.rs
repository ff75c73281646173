//! Linear assignment: the pairing of rows and columns whose summed cost is least, exactly.

/// A solver with its scratch memory, for many problems in turn.
///
/// Column reduction (for large problems, an auction), augmenting row reduction and shortest augmenting paths (Jonker and Volgenant 1987). Costs are asked for, not stored:
/// memory is linear in the size, time at worst cubic. Costs must be finite; they may be negative.
#[derive(Clone, Debug, Default)]
pub struct Assigner {
    /// The column of each row.
    columns: Vec<usize>,
    /// The row of each column.
    rows: Vec<usize>,
    /// The columns' dual variables.
    duals: Vec<f64>,
    /// Rows that have no column yet.
    free: Vec<usize>,
    waiting: Vec<usize>,
    distances: Vec<f64>,
    origins: Vec<usize>,
    /// The columns: scanned ones, then those at the current distance, then the rest.
    order: Vec<usize>,
}

const NONE: usize = usize::MAX;
/// Problems from this size on start from an auction.
const LARGE: usize = 512;

impl Assigner {
    /// The column of each row, such that `Σ cost(row, column)` is least. Deterministic.
    pub fn solve(&mut self, count: usize, cost: impl Fn(usize, usize) -> f64) -> &[usize] {
        for list in [&mut self.columns, &mut self.rows] {
            list.clear();
            list.resize(count, NONE);
        }
        self.duals.clear();
        self.duals.resize(count, 0.0);
        self.distances.resize(count, 0.0);
        self.origins.resize(count, 0);
        if count > 0 {
            if count < LARGE {
                self.reduce_columns(count, &cost);
            } else {
                self.auction(count, &cost);
            }
            for _ in 0..2 {
                self.reduce_rows(count, &cost);
            }
            let free = std::mem::take(&mut self.free);
            for &row in &free {
                self.augment(row, count, &cost);
            }
            self.free = free;
        }
        &self.columns
    }

    /// Each column takes its cheapest row, if that is free still. Row by row, because costs of one row lie together.
    fn reduce_columns(&mut self, count: usize, cost: &impl Fn(usize, usize) -> f64) {
        self.distances[..count].fill(f64::INFINITY);
        for row in 0..count {
            for column in 0..count {
                let found = cost(row, column);
                if found < self.distances[column] {
                    self.distances[column] = found;
                    self.origins[column] = row;
                }
            }
        }
        for column in (0..count).rev() {
            self.duals[column] = self.distances[column];
            let row = self.origins[column];
            if self.columns[row] == NONE {
                self.columns[row] = column;
                self.rows[column] = row;
            }
        }
        self.free.clear();
        self.free
            .extend((0..count).filter(|&row| self.columns[row] == NONE));
    }

    /// Finds good duals for a large problem, by an auction whose bids get finer (Bertsekas 1988), and frees all rows again.
    ///
    /// Any duals are a valid start; these leave few rows to the searches for paths, which would take most of the time.
    fn auction(&mut self, count: usize, cost: &impl Fn(usize, usize) -> f64) {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in 0..count {
            let found = cost(row, (row * 7919) % count);
            (least, most) = (least.min(found), most.max(found));
        }
        let finest = (most - least) / (4 * count) as f64;
        let mut step = (most - least) / 4.0;
        while step > finest {
            step /= 5.0;
            self.columns.fill(NONE);
            self.rows.fill(NONE);
            self.free.clear();
            self.free.extend((0..count).rev());
            // The last rows of a phase bid against one another for long, and gain little.
            let mut bids = 20 * count;
            while self.free.len() > count / 200 && bids > 0 {
                let Some(row) = self.free.pop() else { break };
                bids -= 1;
                let (first, second) = self.two_cheapest(row, count, cost);
                let column = first.1;
                self.duals[column] -= second.0 - first.0 + step;
                let ousted = std::mem::replace(&mut self.rows[column], row);
                if ousted != NONE {
                    self.free.push(ousted);
                }
            }
        }
        self.columns.fill(NONE);
        self.rows.fill(NONE);
        self.free.clear();
        self.free.extend(0..count);
    }

    /// The two columns of the least reduced costs in a row, with these.
    fn two_cheapest(
        &self,
        row: usize,
        count: usize,
        cost: &impl Fn(usize, usize) -> f64,
    ) -> ((f64, usize), (f64, usize)) {
        let (mut first, mut second) = ((f64::INFINITY, NONE), (f64::INFINITY, NONE));
        for (column, dual) in self.duals[..count].iter().enumerate() {
            let found = cost(row, column) - dual;
            if found < second.0 {
                if found < first.0 {
                    second = first;
                    first = (found, column);
                } else {
                    second = (found, column);
                }
            }
        }
        (first, second)
    }

    /// Each free row takes its cheapest column and makes it as dear as its second choice; whoever had it tries again.
    fn reduce_rows(&mut self, count: usize, cost: &impl Fn(usize, usize) -> f64) {
        std::mem::swap(&mut self.free, &mut self.waiting);
        self.free.clear();
        self.waiting.reverse();
        // Rounding can make rows bid against one another by ever smaller steps: bids are limited, paths do the rest.
        let mut bids = 4 * count;
        while let Some(row) = self.waiting.pop() {
            let (first, second) = self.two_cheapest(row, count, cost);
            if bids == 0 || first.1 == NONE {
                self.free.push(row);
                continue;
            }
            bids -= 1;
            let mut column = first.1;
            let lowered = if second.1 == NONE {
                self.duals[column]
            } else {
                self.duals[column] - (second.0 - first.0)
            };
            let lowers = lowered < self.duals[column];
            if lowers {
                self.duals[column] = lowered;
            } else if self.rows[column] != NONE && second.1 != NONE {
                column = second.1;
            }
            let ousted = std::mem::replace(&mut self.rows[column], row);
            self.columns[row] = column;
            if ousted != NONE {
                self.columns[ousted] = NONE;
                if lowers {
                    self.waiting.push(ousted);
                } else {
                    self.free.push(ousted);
                }
            }
        }
    }

    /// Gives `row` a column along the shortest augmenting path (Dijkstra on reduced costs).
    fn augment(&mut self, row: usize, count: usize, cost: &impl Fn(usize, usize) -> f64) {
        let Self {
            columns,
            rows,
            duals,
            distances,
            origins,
            order,
            ..
        } = self;
        order.clear();
        order.extend(0..count);
        for column in 0..count {
            distances[column] = cost(row, column) - duals[column];
        }
        origins.fill(row);
        let (mut scanned, mut reached) = (0, 0);
        let (mut least, mut last) = (0.0, 0);
        let end = 'search: loop {
            if reached == scanned {
                last = scanned;
                least = distances[order[reached]];
                reached += 1;
                let rest = reached..count;
                for place in rest {
                    let column = order[place];
                    let distance = distances[column];
                    if distance <= least {
                        if distance < least {
                            reached = scanned;
                            least = distance;
                        }
                        order.swap(place, reached);
                        reached += 1;
                    }
                }
                if let Some(&column) = order[scanned..reached]
                    .iter()
                    .find(|column| rows[**column] == NONE)
                {
                    break column;
                }
            }
            let nearest = order[scanned];
            scanned += 1;
            let from = rows[nearest];
            let base = cost(from, nearest) - duals[nearest] - least;
            let rest = reached..count;
            for place in rest {
                let column = order[place];
                let distance = cost(from, column) - duals[column] - base;
                if distance < distances[column] {
                    origins[column] = from;
                    // Rounding may put it a little below.
                    distances[column] = distance.max(least);
                    if distance <= least {
                        if rows[column] == NONE {
                            break 'search column;
                        }
                        order.swap(place, reached);
                        reached += 1;
                    }
                }
            }
        };
        for &column in &order[..last] {
            duals[column] += distances[column] - least;
        }
        let mut column = end;
        loop {
            let from = origins[column];
            rows[column] = from;
            std::mem::swap(&mut columns[from], &mut column);
            if from == row {
                break;
            }
        }
    }
}

/// The column assigned to each row so that the summed cost is least; see [`Assigner`].
pub fn assignment(count: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    Assigner::default().solve(count, cost).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn total(columns: &[usize], cost: &dyn Fn(usize, usize) -> f64) -> f64 {
        columns
            .iter()
            .enumerate()
            .map(|(row, &column)| cost(row, column))
            .sum()
    }

    fn best(cost: &dyn Fn(usize, usize) -> f64, row: usize, free: &[usize]) -> f64 {
        if free.is_empty() {
            return 0.0;
        }
        let rest = |j: usize| {
            free.iter()
                .copied()
                .filter(|&other| other != j)
                .collect::<Vec<_>>()
        };
        free.iter()
            .map(|&j| cost(row, j) + best(cost, row + 1, &rest(j)))
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn an_assignment_is_the_best_of_all() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut solver = Assigner::default();
        for size in [0, 1, 2, 3, 4, 5, 6, 3] {
            for trial in 0..100 {
                // Every other problem has many ties, and negative costs.
                let draw = |x: f64| {
                    if trial % 2 == 0 {
                        x
                    } else {
                        (4.0 * x).floor() - 2.0
                    }
                };
                let costs: Vec<f64> = (0..size * size).map(|_| draw(random.random())).collect();
                let cost = |i: usize, j: usize| costs[i * size + j];
                let found = total(solver.solve(size, cost), &cost);
                let expected = best(&cost, 0, &(0..size).collect::<Vec<_>>());
                assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn a_large_assignment_is_a_permutation_with_a_certificate() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let points: Vec<[f64; 4]> = (0..700)
            .map(|_| std::array::from_fn(|_| random.random()))
            .collect();
        let cost = |i: usize, j: usize| {
            (points[i][0] - points[j][2]).powi(2) + (points[i][1] - points[j][3]).powi(2)
        };
        let mut solver = Assigner::default();
        let columns = solver.solve(700, cost).to_vec();
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..700).collect::<Vec<_>>());
        // Duality: with u_i = c(i, σ_i) − v_σi, no reduced cost is negative.
        for i in 0..700 {
            let u = cost(i, columns[i]) - solver.duals[columns[i]];
            for j in 0..700 {
                assert!(cost(i, j) - u - solver.duals[j] > -1e-12);
            }
        }
    }
}
