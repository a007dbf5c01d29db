"""`python -m plant_disease.cli`, where the command itself is not installed: in the container images."""

from plant_disease.cli import main

if __name__ == "__main__":
    main()
