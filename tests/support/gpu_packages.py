"""A repository of Debian packages that behave as NVIDIA's driver and container toolkit do, without a GPU.

The module of a driver is a tmpfs over /proc/driver: what is loaded stays what it was until the machine boots, so a driver
that is upgraded beneath a loaded module fails here as it does in a lab. The GPUs are what `SystemdNode.gpus` says.
The programs are in gpu_stubs/.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.nvml import LIBRARY, build_library

#: Of the driver and of the container toolkit; the first is what is installed when a test names none.
DRIVERS = ("580.95.05", "580.105.08")
TOOLKITS = ("1.17.8", "1.18.0")
DRIVER_PACKAGES = ("nvidia-driver", "nvidia-driver-580-server")
STUBS = Path(__file__).parent / "gpu_stubs"
STATE = "/srv/hardware/nvml.state"


def build_repository(directory: Path, work: Path) -> None:
    """Fills a directory with packages and their index, for `deb [trusted=yes] file:DIRECTORY ./`.

    Args:
        directory: Becomes the repository.
        work: For what lies about meanwhile.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for version in DRIVERS:
        library = work / version
        library.mkdir()
        build_library(library, f'-DMOCK_STATE="{STATE}"', f'-DMOCK_DRIVER="{version}"')
        files = {
            f"usr/lib/x86_64-linux-gnu/{LIBRARY}": library / LIBRARY,
            "usr/bin/nvidia-smi": STUBS / "nvidia-smi",
            "usr/bin/nvidia-persistenced": STUBS / "nvidia-persistenced",
            "usr/bin/nvidia-modprobe": STUBS / "load-module",
            "usr/local/sbin/modprobe": STUBS / "modprobe",
            "usr/lib/nvidia/load-module": STUBS / "load-module",
            "lib/systemd/system/nvidia-persistenced.service": STUBS / "nvidia-persistenced.service",
            "lib/systemd/system/nvidia-module.service": STUBS / "nvidia-module.service",
        }
        texts = {"usr/share/nvidia/version": f"{version}\n"}
        for package in DRIVER_PACKAGES:
            others = ", ".join(name for name in DRIVER_PACKAGES if name != package)
            control = {"Depends": "dkms", "Conflicts": others}
            _package(
                directory, work, package, f"{version}-1", control, files, texts, STUBS / "driver.postinst"
            )
    for version in TOOLKITS:
        toolkit = {"Depends": f"nvidia-container-toolkit-base (= {version}-1)"}
        hook = {"usr/bin/nvidia-container-runtime-hook": STUBS / "nvidia-container-runtime-hook"}
        base = {
            "usr/bin/nvidia-ctk": STUBS / "nvidia-ctk",
            "usr/bin/nvidia-container-runtime": STUBS / "nvidia-container-runtime",
        }
        _package(directory, work, "nvidia-container-toolkit", f"{version}-1", toolkit, hook)
        _package(directory, work, "nvidia-container-toolkit-base", f"{version}-1", {}, base)
        for package in ("libnvidia-container1", "libnvidia-container-tools"):
            _package(directory, work, package, f"{version}-1", {}, {})
    # The kernel of the machine that runs the tests has no sources here, and nothing could load what is built.
    _package(directory, work, "dkms", "3.0.10-8", {}, {"usr/sbin/dkms": STUBS / "dkms"})
    _package(directory, work, "linux-headers-amd64", "6.1.0-1", {}, {})
    _index(directory)


def _package(
    directory: Path,
    work: Path,
    name: str,
    version: str,
    control: Mapping[str, str],
    files: Mapping[str, Path],
    texts: Mapping[str, str] | None = None,
    postinst: Path | None = None,
) -> None:
    root = work / f"{name}_{version}"
    for target, source in files.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / target)
        (root / target).chmod(0o644 if target.endswith((".service", ".so.1")) else 0o755)
    for target, text in (texts or {}).items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).write_text(text)
    fields = {
        "Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "labq tests <tests@example.org>",
        "Section": "misc", "Priority": "optional", "Description": f"stub of {name} for tests", **control,
    }  # fmt: skip
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    if postinst:
        shutil.copyfile(postinst, root / "DEBIAN" / "postinst")
        (root / "DEBIAN" / "postinst").chmod(0o755)
    package = directory / f"{name}_{version}_amd64.deb"
    built = subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", root, package],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr


def _index(directory: Path) -> None:
    rows = []
    for file in sorted(directory.glob("*.deb")):
        control = subprocess.run(["dpkg-deb", "-f", file], capture_output=True, text=True, check=True).stdout
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"{control}Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {digest}\n")
    (directory / "Packages").write_text("\n".join(rows))
    packages = (directory / "Packages").read_bytes()
    (directory / "Release").write_text(
        "Origin: NVIDIA\nLabel: NVIDIA\nSuite: stable\nSHA256:\n"
        f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
    )
