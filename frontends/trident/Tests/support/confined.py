"""Runs a program as stream-diskd.service confines it, as far as that takes no systemd: capabilities and system calls.

confined UNIT PROGRAM [ARGUMENT...]"""
import os
import re
import subprocess
import sys


def words(unit, key):
    return [line.split("=", 1)[1] for line in open(unit, encoding="utf-8").read().splitlines() if line.startswith(key + "=")]


def calls(group):
    """The system calls of a group, and of the groups in it, as systemd has them."""
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", group], check=True, stdout=subprocess.PIPE,
                          text=True).stdout
    found = set()
    for word in re.findall(r"^    (@?[a-z0-9_-]+)$", text, re.MULTILINE):
        found |= calls(word) if word.startswith("@") else {word}
    return found


def main():
    import seccomp
    unit, program = sys.argv[1], sys.argv[2:]
    allowed = set()
    for rule in words(unit, "SystemCallFilter"):
        for group in rule.lstrip("~").split():
            allowed = allowed - calls(group) if rule.startswith("~") else allowed | calls(group)
    # What systemd adds to every list.
    allowed |= calls("@default")
    # Only the unit's capabilities are left, and no new ones come.
    capabilities = ",".join("+" + name.lower().removeprefix("cap_") for name in words(unit, "CapabilityBoundingSet")[0].split())
    setpriv = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{capabilities}"]
    if program[0] == "--filtered":
        rules = seccomp.SyscallFilter(seccomp.ERRNO(1))
        for name in sorted(allowed):
            try:
                rules.add_rule(seccomp.ALLOW, name)
            except (RuntimeError, ValueError):
                pass  # not a call of this machine
        rules.load()
        os.execvp(program[1], program[1:])
    os.execvp(setpriv[0], setpriv + [sys.executable, __file__, unit, "--filtered", *program])


if __name__ == "__main__":
    main()
