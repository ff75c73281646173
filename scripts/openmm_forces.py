#!/usr/bin/env python3
"""Prints tests/reference/openmm-forces.toml: forces of OpenMM on the reference data's alanine dipeptide, without cutoff and without salt.

    pip install openmm==8.6.1
    python scripts/openmm_forces.py ../shared/data > tests/reference/openmm-forces.toml
"""

import pathlib
import sys

import openmm
from openmm import app, unit

MODELS = {"vacuum": None, "hct": app.HCT, "obc1": app.OBC1, "obc2": app.OBC2}


def forces(prmtop, positions, model):
    """kJ/mol/nm, atom by atom, on the Reference platform."""
    system = prmtop.createSystem(nonbondedMethod=app.NoCutoff, implicitSolvent=model, constraints=None)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    found = context.getState(getForces=True).getForces(asNumpy=True)
    return found.value_in_unit(unit.kilojoules_per_mole / unit.nanometer)


def main():
    folder = pathlib.Path(sys.argv[1]) / "alanine-dipeptide-ff96-obc1"
    prmtop = app.AmberPrmtopFile(str(folder / "alanine-dipeptide.prmtop"))
    positions = app.PDBFile(str(folder / "alanine-dipeptide-implicit.pdb")).positions
    print("# Forces on alanine dipeptide (kJ/mol/nm) by OpenMM 8.6.1, Reference platform, no cutoff, no salt, at the positions of")
    print("# alanine-dipeptide-implicit.pdb of the reference data, atom by atom; printed by scripts/openmm_forces.py.")
    for name, model in MODELS.items():
        print(f"\n{name} = [")
        for x, y, z in forces(prmtop, positions, model):
            print(f"    {x:.6f}, {y:.6f}, {z:.6f},")
        print("]")


if __name__ == "__main__":
    main()
