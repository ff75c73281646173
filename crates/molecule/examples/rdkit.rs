use boltzflow_molecule::*;
fn main() {
    let mut files: Vec<_> = std::fs::read_dir("/tmp/mol_check")
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for p in files {
        let text = std::fs::read_to_string(&p).unwrap();
        let mut lines = text.lines();
        let n: usize = lines.next().unwrap().trim().parse().unwrap();
        let smiles = lines.next().unwrap();
        let mut el = vec![];
        let mut x = vec![];
        for _ in 0..n {
            let p: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
            el.push(Element::from_symbol(p[0]).unwrap());
            for k in 1..4 {
                x.push(p[k].parse::<f64>().unwrap());
            }
        }
        let template = match Molecule::from_smiles(smiles) {
            Ok(t) => t,
            Err(e) => {
                println!("ERR {e}");
                continue;
            }
        };
        let s = Molecule::from_elements(el);
        let verdict = match assign_bonds(&s, &x, &template) {
            Ok(m) => format!("ok {:?}", compare(&m.stereo, &stereo_of(&m, &x).unwrap())),
            Err(e) => format!("FAIL {e}"),
        };
        let mut y = x.clone();
        geometry::mirror(&mut y);
        let mirrored = match assign_bonds(&s, &y, &template) {
            Ok(_) => "accepted".into(),
            Err(e) => e.to_string(),
        };
        let own = embed(&template, 1, 2).map(|c| c.len());
        println!(
            "{verdict} | {smiles} | {} {} | mirror: {mirrored} | {own:?}",
            template.stereo.centers.len(),
            template.stereo.double_bonds.len()
        );
    }
}
