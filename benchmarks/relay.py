"""The floor of a proxy on this machine: a relay in C that copies bytes, with as few system calls as there can be.

It understands nothing. A call of gRPC that comes alone costs it two wake-ups: epoll_wait, recv and send on the way to
the origin, and the same on the way back. Whatever a proxy costs beyond that is its own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

COMPILER: Final = "cc"

SOURCE: Final = r"""
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 8192, EVENTS = 64, READ = 256 * 1024 };
static int peer_of[DESCRIPTORS];  /* the other end of each connection */
static char data[READ];

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int epoll, int own)
{
    int yes = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = own};
    setsockopt(own, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    epoll_ctl(epoll, EPOLL_CTL_ADD, own, &event);
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 64;
    struct sockaddr_in here = loopback(arguments[1]), there = loopback(arguments[2]);
    int yes = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    struct epoll_event events[EVENTS], first = {.events = EPOLLIN, .data.fd = listener};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 128))
        return 69;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int each = 0; each < ready; each++) {
            int own = events[each].data.fd;
            if (own == listener) {
                int app = accept(listener, NULL, NULL), origin = socket(AF_INET, SOCK_STREAM, 0);
                if (app < 0 || origin < 0 || app >= DESCRIPTORS || origin >= DESCRIPTORS)
                    return 70;
                if (connect(origin, (struct sockaddr *)&there, sizeof there))
                    return 69;
                peer_of[app] = origin;
                peer_of[origin] = app;
                watch(epoll, app);
                watch(epoll, origin);
                continue;
            }
            int peer = peer_of[own];
            if (!peer)  /* closed in this turn, by its other end */
                continue;
            ssize_t size = recv(own, data, READ, 0), sent = 0, more;
            while (sent < size && (more = send(peer, data + sent, size - sent, MSG_NOSIGNAL)) > 0)
                sent += more;
            if (size <= 0 || sent < size) {
                peer_of[own] = peer_of[peer] = 0;
                close(own);
                close(peer);
            }
        }
    }
}
"""


def make(folder: Path) -> Path | None:
    """Compile the relay into this folder and return its program; None without a compiler of C.

    Its arguments are the port on which it listens and that of the origin, both on 127.0.0.1.
    """
    if shutil.which(COMPILER) is None:
        return None
    source, program = folder / "relay.c", folder / "relay"
    source.write_text(SOURCE)
    subprocess.run([COMPILER, "-O2", "-o", str(program), str(source)], check=True)
    return program
