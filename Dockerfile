# The recipe of every image. SIDECAR chooses the folder (sidecars/<name>) and the packages (locks/<name>.txt).
#
#   docker buildx bake                                        all five, from the table in docker-bake.hcl
#   docker build --build-arg SIDECAR=adapter -t adapter .     one of them, without the table
#   docker build --target infra -t infra .                    the container that holds a Pod's namespaces
#   CA_BUNDLE=/path/to/bundle.pem docker buildx bake          behind a proxy that inspects TLS
#
# Operator's notes
#
#   Contents          `scratch` plus only the files that run: glibc, Debian's Python, CA certificates, the packages of
#                     the lock, the chassis and one sidecar, all byte-compiled. No shell, no package manager. A scanner
#                     finds the Debian packages in /var/lib/dpkg/status.d, the Python ones by their dist-info.
#   Start             /usr/local/bin/sidecar runs the sidecar: no argument, or --check, --help, --version.
#                     /usr/local/bin/probe [/livez | /readyz] asks it, for the HEALTHCHECK below and for exec probes.
#   User              65532:65532, by number, so that runAsNonRoot can be verified. Any other user works, too, if it may
#                     write to the sidecar's volumes; in Kubernetes set fsGroup for the group of the volumes.
#   Root              It may be read-only (read_only, readOnlyRootFilesystem): nothing writes outside the volumes.
#   Capabilities      None is needed: drop ALL. A port below 1024 needs NET_BIND_SERVICE; a higher port does not.
#   Volumes           These folders exist and belong to 65532, so that a new named volume is writable:
#                     warcopier /artifacts (reads) and /webapps (writes) · logshipper /logs (reads), /state and /audit
#                     · all /tmp
#   Signals           SIGTERM or SIGINT drains and exits 0; a second one ends the drain. The sidecar is process 1,
#                     without an init: it waits for the children that it starts.
#   Derive            An image with a WAR needs no tool of its own:
#                         FROM registry.invalid/sidecars/warcopier:0.1.0
#                         COPY shop.war /artifacts/
#   Reproducible      The same sources on the same base give the same layers: files and bytecode have no timestamps.
#   Proxy             The build secret `ca` is a CA bundle for apt and pip. It is mounted and never copied.
#
# Stages
#
#   debian      the build tools
#   runtime     the root file system of all sidecars: the first layer
#   packages    the Python packages of one sidecar: the second layer
#   compiled    its code, with extension modules for the packages that compile.py names
#   code        its code and programs: the third layer. It runs the three layers together, so that no image is
#               built that lacks a file

ARG BASE=debian:trixie-slim

# ---------------------------------------------------------------------------------------------------------------------
FROM ${BASE} AS debian
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false <<EOS
[ ! -s /run/ca.pem ] || echo 'Acquire::https::CAInfo "/run/ca.pem";' > /etc/apt/apt.conf.d/99ca
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends binutils ca-certificates python3 python3-pip >/dev/null
rm -rf /var/lib/apt/lists/*
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM debian AS runtime
RUN <<EOS
python=$(readlink -f /usr/bin/python3)
library=/usr/lib/$(basename "$python")
root=/runtime
mkdir -p $root/etc/ssl/certs $root/usr/bin $root/usr/local/bin $root/usr/lib/ssl
install -d -m 1777 $root/tmp
for link in /lib /lib64; do [ ! -L $link ] || cp -P $link $root/; done

# Python: the standard library without the modules that need libraries which are left out (curses, databases, readline),
# that are for terminals or other systems, or that test or install Python itself. `code` imports each of the others.
cp -P /usr/bin/python3 "$python" $root/usr/bin/
cp -r --no-dereference "$library" $root/usr/lib/
find "$root$library" -name __pycache__ -prune -exec rm -r {} +
for name in curses dbm sqlite3 antigravity.py idlelib pydoc_data this.py tkinter turtle.py turtledemo ensurepip \
    lib2to3 test venv EXTERNALLY-MANAGED sitecustomize.py _{aix,android,apple,ios,osx}_support.py; do
    rm -rf "${root:?}${library:?}/$name"
done
for name in _curses _dbm _gdbm _sqlite3 readline _tkinter _ctypes_test _test _xxtestfuzz xxlimited xxsubtype; do
    rm -f "$root$library/lib-dynload/$name"*.so
done
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s $root -p / "$root$library"

# The shared libraries that these need, with the loader; libgcc_s, which glibc loads when a thread ends; and the others
# that a wheel may expect (PEP 600): libstdc++, and the old names of parts of libc, a few KB each.
ldd "$python" "$root$library"/lib-dynload/*.so > /tmp/needed
if grep 'not found' /tmp/needed; then exit 1; fi
sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' /tmp/needed | sort -u > /tmp/libraries
for name in libgcc_s.so.1 libstdc++.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1; do
    find /usr/lib -name $name >> /tmp/libraries
done
while read -r file; do
    install -D "$file" "$root$(readlink -f "$(dirname "$file")")/$(basename "$file")"
done < /tmp/libraries

# Names: the user 65532, and the order of host look-ups: /etc/hosts, then DNS (both are in glibc itself).
printf '%s\n' root:x:0:0:root:/:/sbin/nologin nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin > $root/etc/passwd
printf '%s\n' root:x:0: nonroot:x:65532: > $root/etc/group
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' > $root/etc/nsswitch.conf

# TLS: Debian's certificates, at OpenSSL's default paths.
cp /etc/ssl/certs/ca-certificates.crt $root/etc/ssl/certs/
cp /etc/ssl/openssl.cnf $root/etc/ssl/
ln -s /etc/ssl/certs/ca-certificates.crt $root/usr/lib/ssl/cert.pem
ln -s /etc/ssl/certs $root/usr/lib/ssl/certs
ln -s /etc/ssl/openssl.cnf $root/usr/lib/ssl/openssl.cnf

# Origin: the files that a scanner reads, and the licences.
cp -L /etc/os-release /etc/debian_version $root/etc/
{ echo "$python"; find "$library" -type f -not -path '*/__pycache__/*'; xargs -n1 readlink -f < /tmp/libraries
  echo /usr/sbin/update-ca-certificates; echo /etc/debian_version; } |
    xargs dpkg-query --search | sed 's/: .*//' | tr -d ' ' | tr , '\n' | sort -u > /tmp/packages
while read -r package; do
    name=${package%%:*}
    mkdir -p "$root/var/lib/dpkg/status.d"
    dpkg-query --status "$package" > "$root/var/lib/dpkg/status.d/$name"
    install -D -m 0644 "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/copyright"
done < /tmp/packages

find $root -exec touch --no-dereference --date @0 {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM debian AS packages
ARG SIDECAR
COPY locks/${SIDECAR}.txt /lock.txt
# Wheels only, each with a hash from the lock. Their sources, stubs, headers and tests do not run, and are deleted.
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false --mount=type=cache,target=/root/.cache/pip <<EOS
site=/packages/usr/lib/python3/dist-packages
mkdir -p $site
if grep -q '==' /lock.txt; then
    [ ! -s /run/ca.pem ] || export PIP_CERT=/run/ca.pem
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --require-hashes --only-binary :all: --no-compile --target $site --requirement /lock.txt
    rm -rf ${site:?}/bin
    find $site -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -r {} +
    find $site -type f \( -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.pyx' \) -delete
    find $site -name '*.so' -exec strip --strip-unneeded {} +
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /packages -p / $site
fi
find /packages -exec touch --no-dereference --date @0 {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM debian AS compiled
ARG SIDECAR
COPY compile.py locks/compile.txt /source/
# The compilers, for a sidecar with packages to compile. No file of them gets into an image.
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false --mount=type=cache,target=/root/.cache/pip <<EOS
if [ -n "$(python3 /source/compile.py --packages "$SIDECAR")" ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends gcc libc6-dev python3-dev >/dev/null
    rm -rf /var/lib/apt/lists/*
    [ ! -s /run/ca.pem ] || export PIP_CERT=/run/ca.pem
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --break-system-packages \
        --require-hashes --only-binary :all: --requirement /source/compile.txt
fi
EOS

COPY sidecars/__init__.py /source/sidecars/
COPY sidecars/chassis /source/sidecars/chassis
COPY sidecars/${SIDECAR} /source/sidecars/${SIDECAR}
RUN <<EOS
python3 /source/compile.py /compiled
find /compiled -name '*.so' -exec strip --strip-unneeded {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM debian AS code
ARG SIDECAR
COPY --from=compiled /compiled /code/usr/lib/python3/dist-packages
COPY compile.py /
COPY LICENSE /code/usr/share/doc/sidecars/copyright
RUN <<EOS
# Isolated (-I): no variable of the Pod and no file beside the program changes the imports of Python.
program() { printf '#!/usr/bin/python3 -I\nimport runpy\n\nrunpy.run_module("%s", run_name="__main__", alter_sys=True)\n' "$1"; }
mkdir -p /code/usr/local/bin
program "sidecars.$SIDECAR" > /code/usr/local/bin/sidecar
program sidecars.chassis.probe > /code/usr/local/bin/probe
python3 -m compileall -q --invalidation-mode unchecked-hash -s /code -p / /code/usr/lib
chmod -R u=rwX,go=rX /code
chmod 0755 /code/usr/local/bin/*
case $SIDECAR in
    warcopier)  install -d -m 0775 -o 65532 -g 65532 /code/artifacts /code/webapps ;;
    logshipper) install -d -m 0775 -o 65532 -g 65532 /code/logs /code/state /code/audit ;;
esac
find /code -exec touch --no-dereference --date @0 {} +
EOS

# A trial of the image: every ELF file finds its libraries; every module of the standard library, of the packages and of
# the sidecar can be imported, in its compiled form if it has one; and the program prints its version.
RUN --mount=type=bind,from=runtime,source=/runtime,target=/layers/1 \
    --mount=type=bind,from=packages,source=/packages,target=/layers/2 <<EOS
mkdir /image
cp -a /layers/1/. /layers/2/. /code/. /image/
run() { chroot --userspec 65532:65532 /image "$@"; }
loader=$(readelf --program-headers /image/usr/bin/python3 | sed -n 's/.*interpreter: \(.*\)]/\1/p')
find /image/usr -type f \( -name '*.so' -o -name '*.so.*' -o -path '*/bin/python3.*' \) -printf '/usr/%P\n' > /tmp/elf
while read -r file; do
    run "$loader" --list "$file" > /tmp/needed 2>&1 || grep -q 'statically linked' /tmp/needed || { cat /tmp/needed; exit 1; }
    if grep 'not found' /tmp/needed; then echo "$file needs it"; exit 1; fi
done < /tmp/elf
python3 /compile.py --packages "$SIDECAR" | run /usr/bin/python3 -I -W error::ImportWarning -c '
import importlib, importlib.metadata, pkgutil, sys
import sidecars
names = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name)}
installed = {str(file).split("/")[0].split(".")[0] for found in importlib.metadata.distributions() for file in found.files or ()}
names |= {name for name in importlib.metadata.packages_distributions() if name in installed}
names |= {module.name for module in pkgutil.walk_packages(sidecars.__path__, "sidecars.")} - {f"sidecars.{sys.argv[1]}.__main__"}
for name in sorted(names):
    importlib.import_module(name)
packages = sys.stdin.read().split()
compiled = [name for name in names if name.rpartition(".")[0] in packages]
plain = [name for name in compiled if sys.modules[name].__file__.endswith(".py")]
assert not plain, f"not compiled: {plain}"
print(f"{len(names)} modules imported, {len(compiled)} of them compiled")
' "$SIDECAR"
run /usr/local/bin/sidecar --version
rm -rf /image
EOS

# ---------------------------------------------------------------------------------------------------------------------
# Built on the machine's own platform with the cross compiler for the target: no emulation is needed.
FROM --platform=${BUILDPLATFORM} ${BASE} AS pause
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY infra/pause.S /
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false <<EOS
case ${TARGETARCH} in amd64) machine=x86-64 ;; arm64) machine=aarch64 ;; *) echo "pause.S does not know ${TARGETARCH}"; exit 1 ;; esac
[ ! -s /run/ca.pem ] || echo 'Acquire::https::CAInfo "/run/ca.pem";' > /etc/apt/apt.conf.d/99ca
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends binutils gcc-$machine-linux-gnu >/dev/null
"${machine/-/_}-linux-gnu-gcc" -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-z,noseparate-code -o /pause /pause.S
touch --date @0 /pause
EOS

FROM scratch AS infra
COPY --from=pause /pause /
USER 65532:65532
ENTRYPOINT ["/pause"]

# ---------------------------------------------------------------------------------------------------------------------
FROM scratch AS sidecar
COPY --from=runtime /runtime /
COPY --from=packages /packages /
COPY --from=code /code /
ENV HOME=/tmp PATH=/usr/local/bin:/usr/bin
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["/usr/local/bin/probe"]
ENTRYPOINT ["/usr/local/bin/sidecar"]
