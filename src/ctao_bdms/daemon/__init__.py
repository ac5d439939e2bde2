"""The daemon on site, which takes files into the archive night after night."""
