"""What runs inside a Rucio server: the metadata plugin and its table.

A server is told of it by ``[metadata] plugins = ctao_bdms.server.metadata.CtaoMetadata``. The plugin answers for every
key that Rucio's own columns do not have, so it stands last if there are others. `ctao_bdms.server.migration.migrate`
makes its table, and brings it to the version that is installed.
"""

# Rucio's package of plugins imports the plugins that its configuration names, ours among them. Whoever imports ours
# directly must let that package go first, or it finds ours half imported.
import rucio.core.did_meta_plugins  # noqa: F401
