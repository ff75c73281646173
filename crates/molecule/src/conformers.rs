//! Positions: many conformers of one molecule, or many configurations of one cloud of points.

/// Configurations of equally many points, one after another.
///
/// # Shapes
/// `positions` holds `len · points · dims` numbers: configuration by configuration, point by point. `dims` is 3 for molecules;
/// the toy targets in the plane have 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Conformers {
    points: usize,
    dims: usize,
    positions: Vec<f64>,
}

impl Conformers {
    /// Takes positions as they lie in memory.
    ///
    /// # Panics
    /// If the numbers do not fill whole configurations: that is a bug of the caller.
    pub fn new(points: usize, dims: usize, positions: Vec<f64>) -> Self {
        let size = points * dims;
        assert!(size > 0, "a configuration has at least one coordinate");
        assert_eq!(
            positions.len() % size,
            0,
            "{} numbers do not fill whole configurations of {size}",
            positions.len()
        );
        Self {
            points,
            dims,
            positions,
        }
    }

    /// No configurations yet.
    pub fn empty(points: usize, dims: usize) -> Self {
        Self::new(points, dims, Vec::new())
    }

    /// How many configurations there are.
    pub fn len(&self) -> usize {
        self.positions.len() / self.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Points in each configuration.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Spatial dimensions of each point.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Numbers in each configuration, `points · dims`.
    pub fn size(&self) -> usize {
        self.points * self.dims
    }

    /// All numbers.
    pub fn positions(&self) -> &[f64] {
        &self.positions
    }

    /// All numbers, to change in place.
    pub fn positions_mut(&mut self) -> &mut [f64] {
        &mut self.positions
    }

    /// Gives up the numbers.
    pub fn into_positions(self) -> Vec<f64> {
        self.positions
    }

    /// Configuration `index`, `points · dims` numbers.
    pub fn get(&self, index: usize) -> &[f64] {
        &self.positions[index * self.size()..(index + 1) * self.size()]
    }

    /// Configuration `index`, to change in place.
    pub fn get_mut(&mut self, index: usize) -> &mut [f64] {
        let size = self.size();
        &mut self.positions[index * size..(index + 1) * size]
    }

    /// The configurations in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.positions.chunks_exact(self.size())
    }

    /// Appends one configuration.
    ///
    /// # Panics
    /// If `configuration` is of another size.
    pub fn push(&mut self, configuration: &[f64]) {
        assert_eq!(
            configuration.len(),
            self.size(),
            "a configuration of another size"
        );
        self.positions.extend_from_slice(configuration);
    }

    /// The configurations with these numbers, in this order.
    pub fn select(&self, indices: &[usize]) -> Self {
        let positions = indices
            .iter()
            .flat_map(|&index| self.get(index))
            .copied()
            .collect();
        Self::new(self.points, self.dims, positions)
    }

    /// Moves each configuration's centroid to the origin.
    pub fn center(&mut self) {
        let (dims, size) = (self.dims, self.size());
        for configuration in self.positions.chunks_exact_mut(size) {
            center(configuration, dims);
        }
    }
}

impl<'a> IntoIterator for &'a Conformers {
    type Item = &'a [f64];
    type IntoIter = std::slice::ChunksExact<'a, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Moves the centroid of one configuration to the origin.
fn center(configuration: &mut [f64], dims: usize) {
    let points = configuration.len() / dims;
    for axis in 0..dims {
        let mean = configuration.iter().skip(axis).step_by(dims).sum::<f64>() / points as f64;
        configuration
            .iter_mut()
            .skip(axis)
            .step_by(dims)
            .for_each(|coordinate| *coordinate -= mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_kept_in_order_and_centred_one_by_one() {
        let mut conformers = Conformers::empty(2, 2);
        conformers.push(&[0.0, 0.0, 2.0, 4.0]);
        conformers.push(&[1.0, 1.0, 1.0, 3.0]);
        assert_eq!(conformers.len(), 2);
        assert_eq!(conformers.select(&[1, 0, 1]).get(1), conformers.get(0));
        conformers.center();
        assert_eq!(
            conformers.positions(),
            [-1.0, -2.0, 1.0, 2.0, 0.0, -1.0, 0.0, 1.0]
        );
        assert_eq!((&conformers).into_iter().count(), 2);
    }

    #[test]
    #[should_panic(expected = "3 numbers do not fill whole configurations of 4")]
    fn numbers_that_do_not_fill_configurations_are_a_bug() {
        Conformers::new(2, 2, vec![0.0; 3]);
    }
}
