"""Code that runs in a Rucio server: the metadata plugin and its table.

The server loads the plugin from ``[metadata] plugins = ctao_bdms.server.metadata.CtaoMetadata``. It handles every key
that is not one of Rucio's own columns, so it must be the last of several plugins. `ctao_bdms.server.migration.migrate`
creates its table or upgrades it to the installed version.
"""

# Rucio's plugin package imports all configured plugins, including ours. It must be imported first, or it would find our
# module half imported.
import rucio.core.did_meta_plugins  # noqa: F401
