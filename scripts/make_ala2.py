#!/usr/bin/env python3
"""Writes data/ala2.pdb and data/ala2-ff96-obc1.prmtop: N-acetyl-L-alanine N'-methylamide in the force field ff96.

A development tool; the program never needs it. It runs with public packages:

    pip install numpy==2.4.6 openmm==8.6.1 parmed==4.3.1
    python scripts/make_ala2.py [--compare other.prmtop]

The parameters are those of OpenMM's amber96.xml (Kollman et al. 1996), written by ParmEd with the radii mbondi2 (Onufriev, Bashford and
Case 2004). OpenMM keeps them in nm, kJ/mol and exact radians, while AMBER's LEaP wrote the decimals of parm96.dat and took pi as 3.141594;
the numbers are rounded back to those decimals, so that the energies are those of a topology made by LEaP.
The coordinates are built from ideal bond lengths, angles and torsions, and minimised in ff96 with the generalised Born model OBC1.
"""

import argparse
import pathlib
import warnings

import numpy as np
import openmm
import parmed
from openmm import app, unit

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
LEAP_PI = 3.141594
MASSES = {"H": 1.008, "C": 12.01, "N": 14.01, "O": 16.00}
KCAL = unit.kilocalories_per_mole

# residue, name, AMBER type, bonded to, angle to, torsion to (0-based rows above), length in angstrom, angle and torsion in degrees.
ATOMS = [
    ("ACE", "HH31", "HC", None, None, None, 0.0, 0.0, 0.0),
    ("ACE", "CH3", "CT", 0, None, None, 1.09, 0.0, 0.0),
    ("ACE", "HH32", "HC", 1, 0, None, 1.09, 109.5, 0.0),
    ("ACE", "HH33", "HC", 1, 0, 2, 1.09, 109.5, 120.0),
    ("ACE", "C", "C", 1, 0, 2, 1.522, 109.5, -120.0),
    ("ACE", "O", "O", 4, 1, 0, 1.229, 120.4, 0.0),
    ("ACE", "N", "N", 4, 1, 0, 1.335, 116.6, 180.0),
    ("ALA", "H", "H", 6, 4, 1, 1.01, 119.8, 0.0),
    ("ALA", "CA", "CT", 6, 4, 1, 1.449, 121.9, 180.0),
    ("ALA", "HA", "H1", 8, 6, 4, 1.09, 109.5, 40.0),
    ("ALA", "CB", "CT", 8, 6, 4, 1.526, 109.7, 160.0),
    ("ALA", "HB1", "HC", 10, 8, 6, 1.09, 109.5, 60.0),
    ("ALA", "HB2", "HC", 10, 8, 6, 1.09, 109.5, 180.0),
    ("ALA", "HB3", "HC", 10, 8, 6, 1.09, 109.5, -60.0),
    ("ALA", "C", "C", 8, 6, 4, 1.522, 110.1, -80.0),
    ("ALA", "O", "O", 14, 8, 6, 1.229, 120.4, -100.0),
    ("NME", "N", "N", 14, 8, 6, 1.335, 116.6, 80.0),
    ("NME", "H", "H", 16, 14, 8, 1.01, 119.8, 0.0),
    ("NME", "CH3", "CT", 16, 14, 8, 1.449, 121.9, 180.0),
    ("NME", "HH31", "H1", 18, 16, 14, 1.09, 109.5, 60.0),
    ("NME", "HH32", "H1", 18, 16, 14, 1.09, 109.5, 180.0),
    ("NME", "HH33", "H1", 18, 16, 14, 1.09, 109.5, -60.0),
]
# The nitrogen of alanine is the first atom of its residue.
ATOMS[6] = ("ALA", *ATOMS[6][1:])


def ideal_positions():
    """Cartesian coordinates (angstrom) from the lengths, angles and torsions of ATOMS."""
    x = np.zeros((len(ATOMS), 3))
    for i, (*_, a, b, c, length, angle, torsion) in enumerate(ATOMS):
        if a is None:
            continue
        if b is None:
            x[i] = [length, 0.0, 0.0]
            continue
        angle, torsion = np.radians([angle, torsion])
        u = (x[a] - x[b]) / np.linalg.norm(x[a] - x[b])
        third = x[c] if c is not None else x[b] + [0.0, 1.0, 0.0]
        normal = np.cross(x[b] - third, u)
        normal /= np.linalg.norm(normal)
        step = [-np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion)]
        x[i] = x[a] + length * (step[0] * u + step[1] * np.cross(normal, u) + step[2] * normal)
    return x


def topology():
    """OpenMM's topology, in the order of ATOMS."""
    top = app.Topology()
    chain = top.addChain()
    residues = {name: top.addResidue(name, chain) for name in ("ACE", "ALA", "NME")}
    atoms = []
    for residue, name, kind, bonded, *_ in ATOMS:
        atom = top.addAtom(name, app.Element.getBySymbol(kind[0]), residues[residue])
        atoms.append(atom)
        if bonded is not None:
            top.addBond(atoms[bonded], atom)
    return top


def round_to_parm96(structure):
    """Rounds parameters to the decimals that parm96.dat states, as LEaP wrote them."""
    for bond in structure.bond_types:
        bond.k, bond.req = round(bond.k, 3), round(bond.req, 4)
    for angle in structure.angle_types:
        angle.k = round(angle.k, 3)
        # ParmEd writes degrees times its own pi; this is what makes that LEaP's.
        angle.theteq = round(angle.theteq, 2) * LEAP_PI / np.pi
    for torsion in structure.dihedral_types:
        torsion.phi_k = round(torsion.phi_k, 9)
        torsion.phase = round(torsion.phase, 2) * LEAP_PI / np.pi
        torsion.scee, torsion.scnb = 1.2, 2.0
    # The 1-4 pairs follow from the torsions.
    structure.adjusts.clear()
    structure.adjust_types.clear()
    for atom, (_, _, kind, *_) in zip(structure.atoms, ATOMS):
        atom.type = kind
        atom.mass = MASSES[kind[0]]
        atom.charge = round(atom.charge, 4)
        atom.epsilon = round(atom.epsilon, 4)
        atom.rmin = round(atom.rmin, 4)
        atom.epsilon_14, atom.rmin_14 = atom.epsilon, atom.rmin


def write_prmtop(path):
    """ff96 with mbondi2 radii for the molecule in ATOMS."""
    top = topology()
    system = app.ForceField("amber96.xml").createSystem(top, nonbondedMethod=app.NoCutoff, constraints=None, removeCMMotion=False)
    structure = parmed.openmm.load_topology(top, system, ideal_positions())
    round_to_parm96(structure)
    parm = parmed.amber.AmberParm.from_structure(structure)
    parmed.tools.changeRadii(parm, "mbondi2").execute()
    parm.parm_data["TITLE"] = ["ACE-ALA-NME ff96 mbondi2"]
    parm.remake_parm()
    parm.write_parm(str(path))
    # The stamp's date would make every run write another file.
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = "%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/00  00:00:00" + " " * 18 + "\n"
    path.write_text("".join(lines))


def energies(prmtop, positions):
    """kcal/mol at positions (angstrom), in vacuum and in three generalised Born models, without cutoff."""
    prmtop = app.AmberPrmtopFile(str(prmtop))
    found = {}
    for model in (None, app.HCT, app.OBC1, app.OBC2):
        system = prmtop.createSystem(nonbondedMethod=app.NoCutoff, implicitSolvent=model, constraints=None)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(positions * 0.1)
        found[str(model or "vacuum")] = context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(KCAL)
    return found


def superposed(x, target):
    """x turned and shifted onto target (Kabsch 1976)."""
    x, target = x - x.mean(axis=0), target - target.mean(axis=0)
    u, _, v = np.linalg.svd(x.T @ target)
    return x @ u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v


def minimised(prmtop, positions):
    """The nearest minimum (angstrom) in ff96 with OBC1, turned onto where it came from: how far the minimiser turns it depends on the machine."""
    prmtop = app.AmberPrmtopFile(str(prmtop))
    system = prmtop.createSystem(nonbondedMethod=app.NoCutoff, implicitSolvent=app.OBC1, constraints=None)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions * 0.1)
    openmm.LocalEnergyMinimizer.minimize(context, tolerance=0.001)
    x = context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return superposed(x, positions)


def assert_left_handed(x):
    """Seen from HA, the carbonyl, the side chain and the nitrogen go round clockwise (L-alanine)."""
    n, carbonyl, side = (x[i] - x[8] for i in (6, 14, 10))
    assert n @ np.cross(carbonyl, side) > 0, "this is D-alanine"


def write_pdb(path, x):
    """PDB format 3.3, with element columns and CONECT records."""
    residues = ["ACE", "ALA", "NME"]
    lines = [
        "REMARK   1 N-ACETYL-L-ALANINE N'-METHYLAMIDE, A MINIMUM OF FF96 WITH OBC1",
        "REMARK   1 WRITTEN BY SCRIPTS/MAKE_ALA2.PY",
    ]
    for i, ((residue, name, kind, *_), (a, b, c)) in enumerate(zip(ATOMS, x), 1):
        label = name if len(name) == 4 else f" {name:<3}"
        number = residues.index(residue) + 1
        lines.append(f"ATOM  {i:5d} {label} {residue} A{number:4d}    {a:8.3f}{b:8.3f}{c:8.3f}  1.00  0.00          {kind[0]:>2}")
    lines += [f"TER   {len(ATOMS) + 1:5d}      NME A   3", "END"]
    path.write_text("".join(f"{line:<80}\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare", type=pathlib.Path, help="another prmtop of the molecule: prints the differences in energy")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    prmtop = DATA / "ala2-ff96-obc1.prmtop"
    write_prmtop(prmtop)
    x = minimised(prmtop, ideal_positions())
    assert_left_handed(x)
    write_pdb(DATA / "ala2.pdb", x)
    for model, energy in energies(prmtop, np.round(x, 3)).items():
        print(f"{model:8} {energy:16.8f} kcal/mol")
    if arguments.compare:
        random = np.random.default_rng(1)
        for scale in (0.0, 0.02, 0.05, 0.1):
            y = x + random.normal(size=x.shape) * scale
            ours, theirs = energies(prmtop, y), energies(arguments.compare, y)
            print(f"moved by {scale}: " + ", ".join(f"{m} {ours[m] - theirs[m]:+.2e}" for m in ours), "kcal/mol")


if __name__ == "__main__":
    main()
