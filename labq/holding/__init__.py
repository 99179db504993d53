"""Who holds a GPU: one reading, shared by the node's agent and the exporter.

Lives here: what the driver, ``/proc`` and the container engines say of the GPUs of *this* machine, and the rules
that turn it into people and seconds. The agent tells the queue what is used outside it, the exporter tells
Prometheus; both must never disagree, and components do not import each other: so the code is here (ADR 0007).

Must not live here: Redis, HTTP, decisions. The client never imports this package.

samples.py     what the driver says of a GPU and its processes (values)
nvml.py        asks the driver; with nvml_questions.py and nvml_near.py the only importer of pynvml
nvml_questions.py  single questions, and what is asked instead where a driver does not know one
nvml_near.py       questions about GPUs two by two: NVLink, PCIe switches, processors
process_rows.py    which of the driver's rows about processes can be believed (pure)
watch.py       a thread for each GPU, so that one that hangs silences nobody
facts.py       what /proc, an engine and the queue say (values); who is named, and by which rule
cgroups.py     /proc/<pid>/cgroup -> container ids and the user's slice (pure)
procfs.py      reads /proc
accounts.py    reads passwd, subuid and the owners of directories; patience.py does not wait for those that hang
words.py       makes what others wrote fit to be shown (pure)
containers.py  an engine's JSON -> ContainerFacts (pure)
engines.py     follows the engines of this machine (docker); register.py keeps what they said
sockets.py     which engines (pure)
seal.py        the seal of the docker.sock proxy on an owner label, and its key
register.py    the containers that one engine has, and had until a while ago
owners.py      the rules: process + container + leases -> Owner (pure)
evidence.py    who is named by what is harder to forge than a label (pure)
leases.py      the file by which the agent tells the exporter what is leased
look.py        puts it together: one look at this machine
reading.py     all of that -> the state of each GPU and its holders (pure)
seconds.py     readings -> seconds held, busy and idle (pure)
"""
