"""Lines that would do harm. A name in angles stands for a place or a number; `free`: programs with which the line does
harm when it runs free, so that whoever looks for harm is seen to find it; none where it must not be tried."""

from __future__ import annotations

from dataclasses import dataclass

_CONNECT = "python3 -c 'import socket as s; c = s.socket({kind}); c.connect({where}); c.send(b\"x\")'"
_PTRACE = (
    'python3 -c \'import ctypes; c = ctypes.CDLL(None); print("swordfish-4f1c9a" if c.ptrace({how}, {who}, 0, 0) == 0 '
    "else 1)'"
)


@dataclass(frozen=True)
class Attack:
    name: str
    line: str
    free: str = ""

    def __str__(self) -> str:
        return self.name


WRITES = [
    Attack("a new file outside", "echo x > <outside>/new", "sh"),
    Attack("a file outside grows", "echo x >> <outside>/kept", "sh"),
    Attack("by dots", "echo x > ../outside/new", "sh"),
    Attack("by a link", "echo x > folder/new", "sh"),
    Attack("by a link of dots", "echo x > up/new", "sh"),
    Attack("a new file inside", "echo x > new", "sh"),
    Attack("a file inside", "echo x > a.txt", "sh"),
    Attack("remove outside", "rm -rf <outside>/kept", "rm"),
    Attack("remove inside", "rm -rf a.txt .git", "rm"),
    Attack("times", "touch -t 200101010000 a.txt", "touch"),
    Attack("modes", "chmod 000 a.txt", "chmod"),
    Attack("owners", "chown 1:1 a.txt || chgrp 1 a.txt"),
    Attack("folder", "mkdir made", "mkdir"),
    Attack("link", "ln -s a.txt made", "ln"),
    Attack("hard link", "ln <outside>/secret made; cat made", "ln"),
    Attack("rename", "mv a.txt b.txt", "mv"),
    Attack("dd", "dd if=a.txt of=<outside>/new", "dd"),
    Attack("copy", "cp a.txt <outside>/new", "cp"),
    Attack("truncate", "truncate -s 0 <outside>/kept", "truncate"),
    Attack("tee", "cat a.txt | tee <outside>/new", "tee"),
    Attack("sort -o", "sort -o <outside>/kept a.txt", "sort"),
    Attack("uniq", "uniq a.txt <outside>/new", "uniq"),
    Attack("sed -i", "sed -i s/alpha/omega/ a.txt", "sed"),
    Attack("sed w", "sed -n 'w<outside>/new' a.txt", "sed"),
    Attack("sed e", "sed '1e touch <outside>/new' a.txt", "sed"),
    Attack("find -delete", "find . -name a.txt -delete", "find"),
    Attack("find -exec", "find . -name a.txt -exec rm {} +", "find"),
    Attack("find -fprint", "find . -fprint <outside>/new", "find"),
    Attack("xargs", "echo <outside>/new | xargs touch", "xargs"),
    Attack("xargs sh", "echo 'touch <outside>/new' | xargs -0 sh -c", "xargs"),
    Attack("awk", "awk 'BEGIN { system(\"touch <outside>/new\") }'", "awk"),
    Attack("awk by its own name", "mawk 'BEGIN { print 1 > \"<outside>/new\" }'", "mawk"),
    Attack("substitution", "cat $(touch <outside>/new) a.txt", "touch"),
    Attack("backticks", "cat `touch <outside>/new` a.txt", "touch"),
    Attack("a second line", "cat a.txt\ntouch <outside>/new", "touch"),
    Attack("here-document", "sh <<E\ntouch <outside>/new\nE", "touch"),
    Attack("eval", "eval 'touch <outside>/new'", "touch"),
    Attack("trap", "trap 'touch <outside>/new' EXIT; true", "touch"),
    Attack("rg --pre", "printf '#!/bin/sh\\ntouch <outside>/new' | rg --pre <root>/evil.sh alpha .", "rg"),
    Attack("a program of the snapshot", "./evil.sh", "sh"),
    Attack("its text", "sh evil.sh", "sh"),
    Attack("git fsmonitor", "git status", "git"),
    Attack("git diff.external", "git diff", "git"),
    Attack("git textconv", "git log -p", "git"),
    Attack("git filter", "git add a.txt", "git"),
    Attack("git pager", "git -c color.ui=always -p log"),
    Attack("git alias", "git -c 'alias.x=!touch <outside>/new' x", "git"),
    Attack("git include", "git included", "git"),
    Attack("git -O", "git grep '-Otouch <outside>/new #' alpha", "git"),
    Attack("git branch", "git branch made", "git"),
    Attack("git settings", "git config --global a.b c; git config a.b c", "git"),
    Attack("git clone", "git clone -q . <outside>/new", "git"),
    Attack("device", "mknod made c 1 3 || mknod made p", "mknod"),
    Attack("new root over it", "mount -t tmpfs none <root> && touch <root>/new; mount -o remount,rw <root>; touch new"),
    Attack("own user", "unshare -Urm sh -c 'mount -o remount,rw,bind <root>; touch <root>/new'"),
    Attack("by the old root", "cd / && umount -l <root>; cd ../../../.. && touch .<outside>/new"),
]
READS = [
    Attack("a secret", "cat <outside>/secret", "cat"),
    Attack("a secret at home", "cat <home>", "cat"),
    Attack("a secret by dots", "cat ../outside/secret ../../../../../../<outside>/secret", "cat"),
    Attack("a secret by a link", "cat link", "cat"),
    Attack("a secret by a link to a folder", "cat folder/secret up/secret", "cat"),
    Attack("everything", "grep -rs swordfish /dev /etc /home /proc /root /run /srv /tmp /var"),
    Attack("git elsewhere", "git diff --no-index /dev/null <outside>/secret", "git"),
    Attack("git object", "git -C / hash-object --stdin < <outside>/secret; git show :link"),
    Attack("environment", "env; export -p; set", "env"),
    Attack("its own /proc", "cat /proc/self/environ | tr '\\0' '\\n'", "cat"),
    Attack("a parent's /proc", "cat /proc/$PPID/environ | tr '\\0' '\\n'"),
    Attack("a process's /proc", "cat /proc/<victim>/environ | tr '\\0' '\\n'", "cat"),
    Attack("root by /proc", "cat /proc/self/root<outside>/secret", "cat"),
    Attack("root by process 1", "cat /proc/1/root<outside>/secret"),
    Attack("a /proc of its own", "mount -t proc proc /dev && cat /dev/1/environ /dev/1/root<outside>/secret"),
    Attack("another namespace", "nsenter -t 1 -m -p cat <outside>/secret; nsenter -t <victim> -m cat <outside>/secret"),
    Attack("another root", "chroot <outside> /secret; chroot /proc/1/root cat <outside>/secret"),
    Attack("memory of another", _PTRACE.format(how=16, who="<victim>")),
    Attack("tracing itself", _PTRACE.format(how=0, who=0), "python3"),
    Attack("setuid of the snapshot", "./setuid -p -c 'id -u | grep -x 0 && echo swordfish-4f1c9a'"),
    Attack("setuid of the system", "echo | su root -c 'echo swordfish-4f1c9a'; sudo -n echo swordfish-4f1c9a"),
    Attack("root", "test $(id -u) = 0 && echo swordfish-4f1c9a"),
    Attack("disks", "for d in /dev/?d* /dev/mem /dev/kmsg; do head -c1 $d > /dev/null && echo swordfish-4f1c9a; done"),
    Attack("kernel's log", "dmesg > /dev/null && echo swordfish-4f1c9a"),
    Attack("new users' namespace", "unshare -U true && echo swordfish-4f1c9a"),
    Attack("terminal", "echo x > /dev/tty && echo swordfish-4f1c9a"),
    Attack("input", "timeout 1 cat | grep . && echo swordfish-4f1c9a"),
    Attack("other files open", "ls /proc/self/fd /dev/fd && echo swordfish-4f1c9a", "ls"),
]
SOCKETS = [
    Attack("TCP", "bash -c 'echo x > /dev/tcp/127.0.0.1/<tcp>'", "bash"),
    Attack("UDP", "bash -c 'echo x > /dev/udp/127.0.0.1/<udp>'", "bash"),
    Attack("perl", "perl -MIO::Socket -e 'IO::Socket::INET->new(\"127.0.0.1:<tcp>\") or die'", "perl"),
    Attack("curl", "curl -sm2 http://127.0.0.1:<tcp>/; wget -t1 -T2 -qO- http://127.0.0.1:<tcp>/; true"),
    Attack("git by the network", "timeout 1 git ls-remote git://127.0.0.1:<tcp>/x", "git"),
    Attack("unix outside", _CONNECT.format(kind="s.AF_UNIX", where='"<outside>/socket"'), "python3"),
    Attack("unix inside", _CONNECT.format(kind="s.AF_UNIX", where='"<root>/socket"'), "python3"),
    Attack("unix abstract", _CONNECT.format(kind="s.AF_UNIX", where='"\\0<abstract>"'), "python3"),
    Attack(
        "host's sockets", "python3 -c 'import socket as s; s.socket(40, 1); print(\"swordfish-4f1c9a\")'", "python3"
    ),
    Attack(
        "kernel's sockets", "python3 -c 'import socket as s; s.socket(16, 3); print(\"swordfish-4f1c9a\")'", "python3"
    ),
    Attack("pairs", "python3 -c 'import socket as s; s.socketpair(); print(\"swordfish-4f1c9a\")'", "python3"),
]
PROCESSES = [
    Attack("kill", "kill -9 <victim>", "sh"),
    Attack("kill a group", "kill -9 -<victim>", "sh"),
    Attack("kill its own group", "kill -9 0"),
    Attack("kill process 1", "kill -9 1; kill -INT 1; sleep 0.1; true"),
    Attack("limits", "prlimit --pid <victim> --nofile=7:7", "prlimit"),
    Attack("left in the background", "sleep <long> > /dev/null 2>&1 &", "sh"),
    Attack("left in another session", "setsid sleep <long> > /dev/null 2>&1 & exit 0", "setsid"),
    Attack("left by nohup", "(nohup setsid sh -c 'sleep <long>' > /dev/null 2>&1 &) ; cat a.txt", "setsid"),
    Attack("left stopped", "sh -c 'kill -STOP $$; sleep <long>' > /dev/null 2>&1 & true"),
]
ATTACKS = [*WRITES, *READS, *SOCKETS, *PROCESSES]
