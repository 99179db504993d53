"""What the role nvidia must know of a machine, in one look instead of ten tasks: one JSON object. Nothing is changed.

Argument: the driver's package.
"""

import json
import subprocess
import sys
from pathlib import Path

#: Seconds after which a program counts as hanging: nvidia-smi does on a card that fell off the bus.
PATIENCE = 60
#: NVIDIA's number of its own as PCI knows it.
VENDOR = "0x10de"
PACKAGES = ["*nvidia*", "libcuda*", "libnvcuvid*", "libnvoptix*", "cuda-drivers*"]


def run(*command: str) -> tuple[int, list[str]]:
    """Return status and lines of a program; 127 where it is not there, 124 where it hangs."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, [f"no answer within {PATIENCE} s"]
    except OSError as error:
        return 127, [f"{command[0]}: {error.strerror}"]
    return done.returncode, done.stdout.splitlines()


def text(path: str) -> str:
    """Return what a file of the kernel says; nothing where it is not there."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def installed(*patterns: str) -> list[str]:
    """Return lines "want status name version" of packages; "want" is hold or install. None found is no fault."""
    form = "${db:Status-Want} ${db:Status-Status} ${binary:Package} ${Version}\n"
    return [line for line in run("dpkg-query", "-W", "-f", form, *patterns)[1] if " installed " in line]


def built_for(kernels: list[str]) -> list[str]:
    """Return the kernels for which there is a module of NVIDIA's, by dkms or by a package."""
    lines = [line for line in run("dkms", "status")[1] if line.startswith("nvidia") and ": installed" in line]
    # The version of the module is a field of its own in old forms: nvidia, 580.95, 6.1.0, x86_64: installed
    dkms = [line.split(",")[-2].strip() for line in lines if line.count(",") > 1]
    return [kernel for kernel in kernels if kernel in dkms or run("modinfo", "-k", kernel, "nvidia")[0] == 0]


kernels = sorted(path.name.removeprefix("vmlinuz-") for path in Path("/boot").glob("vmlinuz-*"))
status, said = run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
print(
    json.dumps(
        {
            "pci": any(text(str(path)) == VENDOR for path in Path("/sys/bus/pci/devices").glob("*/vendor")),
            "packages": installed(sys.argv[1], *PACKAGES),
            # What NVIDIA's own installer leaves, which no package knows.
            "by_hand": Path("/usr/bin/nvidia-uninstall").exists(),
            "module": text("/proc/driver/nvidia/version"),
            "nouveau": Path("/sys/module/nouveau").exists(),
            "policy": "\n".join(run("apt-cache", "policy", sys.argv[1])[1]),
            "images": [line.split()[2] for line in installed("linux-image-*")],
            "modprobe_d": Path("/etc/modprobe.d").is_dir(),
            "smi": status,
            "smi_says": said[0] if said else "",
            "kernels": kernels,
            "built": built_for(kernels),
        }
    )
)
