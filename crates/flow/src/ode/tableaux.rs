//! Runge–Kutta methods are data.

/// The coefficients of an explicit method: `k_i = f(t + c_i h, y + h Σ_j a_ij k_j)`, `y' = y + h Σ_i b_i k_i`, with the error
/// `h Σ_i e_i k_i` where it estimates one.
///
/// The methods that do end with the stage `k = f(t + h, y')`, which is the next step's first, and does not enter `y'`.
#[derive(Debug)]
pub struct Tableau {
    /// What it is called in files.
    pub name: &'static str,
    /// The error of a solve shrinks with the step to this power.
    pub order: u32,
    /// `a_ij`, row by row; the first is empty.
    pub a: &'static [&'static [f64]],
    /// `b_i`.
    pub b: &'static [f64],
    /// `e_i = b_i − b̂_i`, with `b̂` of one order less.
    pub error: Option<&'static [f64]>,
    /// `c_i`.
    pub c: &'static [f64],
}

impl Tableau {
    /// Stages of a step with an error estimate.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Stages that the solution needs: without those at the end that only the error estimate does.
    pub fn working_stages(&self) -> usize {
        self.b
            .iter()
            .rposition(|weight| *weight != 0.0)
            .map_or(0, |last| last + 1)
    }
}

/// Euler's method.
pub static EULER: Tableau = Tableau {
    name: "euler",
    order: 1,
    a: &[&[]],
    b: &[1.0],
    error: None,
    c: &[0.0],
};

/// The explicit midpoint rule (Runge, 1895).
pub static MIDPOINT: Tableau = Tableau {
    name: "midpoint",
    order: 2,
    a: &[&[], &[0.5]],
    b: &[0.0, 1.0],
    error: None,
    c: &[0.0, 0.5],
};

/// The classic fourth-order method (Kutta, 1901).
pub static RK4: Tableau = Tableau {
    name: "rk4",
    order: 4,
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    error: None,
    c: &[0.0, 0.5, 0.5, 1.0],
};

/// Order 3 with an error estimate (Bogacki & Shampine, *Appl. Math. Lett.* 2, 321, 1989).
pub static BOSH3: Tableau = Tableau {
    name: "bosh3",
    order: 3,
    a: &[
        &[],
        &[0.5],
        &[0.0, 0.75],
        &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
    ],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    error: Some(&[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0]),
    c: &[0.0, 0.5, 0.75, 1.0],
};

/// Order 5 with an error estimate (Dormand & Prince, *J. Comput. Appl. Math.* 6, 19, 1980).
pub static DOPRI5: Tableau = Tableau {
    name: "dopri5",
    order: 5,
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[
            19372.0 / 6561.0,
            -25360.0 / 2187.0,
            64448.0 / 6561.0,
            -212.0 / 729.0,
        ],
        &[
            9017.0 / 3168.0,
            -355.0 / 33.0,
            46732.0 / 5247.0,
            49.0 / 176.0,
            -5103.0 / 18656.0,
        ],
        &[
            35.0 / 384.0,
            0.0,
            500.0 / 1113.0,
            125.0 / 192.0,
            -2187.0 / 6784.0,
            11.0 / 84.0,
        ],
    ],
    b: &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
        0.0,
    ],
    error: Some(&[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ]),
    c: &[0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
};

/// Order 5 with an error estimate and a smaller error than [`DOPRI5`] for the same work (Tsitouras, *Comput. Math. Appl.* 62, 770,
/// 2011). The tests hold it to the order conditions.
pub static TSIT5: Tableau = Tableau {
    name: "tsit5",
    order: 5,
    a: &[
        &[],
        &[0.161],
        &[-0.008480655492356989, 0.335480655492357],
        &[2.8971530571054935, -6.359448489975075, 4.3622954328695815],
        &[
            5.325864828439257,
            -11.748883564062828,
            7.4955393428898365,
            -0.09249506636175525,
        ],
        &[
            5.86145544294642,
            -12.92096931784711,
            8.159367898576159,
            -0.071584973281401,
            -0.028269050394068383,
        ],
        &[
            0.09646076681806523,
            0.01,
            0.4798896504144996,
            1.379008574103742,
            -3.290069515436081,
            2.324710524099774,
        ],
    ],
    b: &[
        0.09646076681806523,
        0.01,
        0.4798896504144996,
        1.379008574103742,
        -3.290069515436081,
        2.324710524099774,
        0.0,
    ],
    error: Some(&[
        -0.001780011052225777,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1.0 / 66.0,
    ]),
    c: &[0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0],
};
