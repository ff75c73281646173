use boltzflow_molecule::*;
fn main() {
    let dir = "/work/shared/data/geom-drugs-20";
    let text = std::fs::read_to_string(format!("{dir}/molecules.tsv")).unwrap();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        println!("{f:?}");
        let smiles = f.iter().max_by_key(|s| s.len()).unwrap();
        let Some(name) = f.iter().find(|s| s.starts_with("rot")) else {
            continue;
        };
        let template = match Molecule::from_smiles(smiles) {
            Ok(t) => t,
            Err(e) => {
                println!("ERR {e}");
                continue;
            }
        };
        let mut xyz = String::new();
        let mut files: Vec<_> = std::fs::read_dir(format!("{dir}/{name}"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        for p in files {
            let t = std::fs::read_to_string(&p).unwrap();
            xyz += t.trim_end_matches('\n');
            xyz.push('\n');
        }
        let mut lines = xyz.lines();
        let mut frames = 0;
        let mut ok = 0;
        let mut errs = std::collections::BTreeMap::new();
        let clock = std::time::Instant::now();
        while let Some(n) = lines.next() {
            let n: usize = n.trim().parse().unwrap();
            lines.next();
            let mut el = vec![];
            let mut x = vec![];
            for _ in 0..n {
                let p: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
                el.push(Element::from_symbol(p[0]).unwrap());
                for k in 1..4 {
                    x.push(p[k].parse::<f64>().unwrap());
                }
            }
            let s = Molecule::from_elements(el);
            frames += 1;
            match assign_bonds(&s, &x, &template) {
                Ok(m) => {
                    ok += 1;
                    if compare(&m.stereo, &stereo_of(&m, &x).unwrap()) != StereoMatch::Same {
                        println!("BAD");
                    }
                }
                Err(e) => *errs.entry(e.to_string()).or_insert(0) += 1,
            }
        }
        let h = heavy_automorphisms(&template, 100000);
        println!(
            "{name} atoms {} frames {frames} ok {ok} {:?}/frame  centres {} (possible {:?}) ez {} heavy autos {} {} {errs:?}",
            template.len(),
            clock.elapsed() / frames.max(1),
            template.stereo.centers.len(),
            stereogenic(&template).centers.len(),
            template.stereo.double_bonds.len(),
            h.permutations.len(),
            h.complete
        );
    }
}
