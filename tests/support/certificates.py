"""Certificates that tests make with openssl."""

import subprocess


def certified(folder, name="server", *options):
    """Certificate and key for 127.0.0.1, signed by itself."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    command += ["-subj", "/CN=digits", "-addext", "subjectAltName=IP:127.0.0.1", *(options or ["-nodes"])]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths
