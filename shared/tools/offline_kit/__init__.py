"""Everything that builds and runs this project, in one folder, for machines without a network.

`gather` fills the folder (`make offline-kit`), `use` takes it (`make from-kit`): `wheels` are the
files of packages, `engine` what a container engine holds. Standard library only.
"""

__all__: list[str] = []
