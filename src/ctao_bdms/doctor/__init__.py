"""Whether the policy package is in force, on this machine and on the server."""
