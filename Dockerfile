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
#                     finds the Debian packages in /var/lib/dpkg/status.d, the Python ones by their dist-info. The bill of
#                     materials (SPDX) is /var/lib/db/sbom/<name>.spdx.json.
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
#   Machines          amd64 and arm64, each built on either: the builder downloads, compiles and checks, and runs nothing of
#                     the target. So no emulation is needed: `--platform linux/arm64` is all.
#   Reproducible      The same sources, base and state of Debian's archive give the same layers: files and bytecode have no
#                     timestamps.
#   Proxy             The build secret `ca` is a CA bundle for apt and pip. It is mounted and never copied.
#
# Stages
#
#   debian      the build tools, of the builder's machine like every stage that runs something
#   builder     the names of the target machine
#   target      Debian's packages of the target, unpacked and not installed
#   runtime     the root file system of all sidecars, from `target`: the first layer
#   packages    the Python packages of one sidecar: the second layer
#   compiled    its code, with extension modules for the packages that compile.py names
#   code        its code, programs and bill of materials: the third layer. It checks the three layers together

ARG BASE=debian:trixie-slim

# ---------------------------------------------------------------------------------------------------------------------
FROM --platform=${BUILDPLATFORM} ${BASE} AS debian
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false <<EOS
[ ! -s /run/ca.pem ] || echo 'Acquire::https::CAInfo "/run/ca.pem";' > /etc/apt/apt.conf.d/99ca
echo 'Acquire::Languages "none";' > /etc/apt/apt.conf.d/99languages
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends binutils-multiarch ca-certificates python3 python3-pip >/dev/null
rm -rf /var/lib/apt/lists/*
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM debian AS builder
# The same as in `debian`. It is repeated where hadolint, which follows a stage to its parent alone, would miss it.
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG TARGETARCH
COPY tools/release/debian_files.py /
RUN <<EOS
case $TARGETARCH in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "no image is built for $TARGETARCH"; exit 1 ;;
esac
printf '%s\n' MACHINE=$machine TRIPLET=$machine-linux-gnu TARGET=/target > /etc/target
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM builder AS target
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Debian's packages of the target, unpacked and not installed.
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false <<EOS
. /etc/target
python3 /debian_files.py fetch "$TARGETARCH" "$TARGET" base-files ca-certificates libgcc-s1 libstdc++6 python3
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM target AS runtime
COPY tools/release/shared_libraries.py /
RUN <<EOS
. /etc/target
python=$(readlink "$TARGET/usr/bin/python3")
library=usr/lib/$python
root=/runtime
# Bytecode is made by the builder's Python, so it must be the target's: both come from one archive.
[ "$(python3 -c 'import platform; print(platform.python_version())')" = "$(sed -n 's/^Version: \([0-9.]*\).*/\1/p' "$TARGET/var/lib/dpkg/info/$python-minimal/control")" ]
mkdir -p $root/etc/ssl/certs $root/usr/bin $root/usr/local/bin $root/usr/lib/ssl
install -d -m 1777 $root/tmp
for link in lib lib64; do [ ! -L "$TARGET/$link" ] || cp -P "$TARGET/$link" $root/; done

# Python: the standard library without the modules that need libraries which are left out (curses, databases, readline),
# that are for terminals or other systems, that test, document or debug, that install Python itself, or that are twins in
# Python of modules in C. A test imports each of the others.
cp -P "$TARGET/usr/bin/python3" "$TARGET/usr/bin/$python" $root/usr/bin/
cp -r --no-dereference "$TARGET/$library" $root/usr/lib/
for name in curses dbm sqlite3 antigravity.py idlelib pydoc_data this.py tkinter turtle.py turtledemo ensurepip \
    lib2to3 test unittest doctest.py pdb.py pydoc.py _pyrepl xmlrpc venv EXTERNALLY-MANAGED sitecustomize.py \
    _{aix,android,apple,ios,osx}_support.py _py{datetime,decimal,io}.py; do
    rm -rf "${root:?}/${library:?}/$name"
done
for name in _curses _dbm _gdbm _sqlite3 readline _tkinter _ctypes_test _test _xxtestfuzz xxlimited xxsubtype; do
    rm -f "$root/$library/lib-dynload/$name"*.so
done
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s $root -p / "$root/$library"

# The shared libraries that these need, with the loader; libgcc_s, which glibc loads when a thread ends; and the others
# that a wheel may expect (PEP 600): libstdc++, and the old names of parts of libc, a few KB each.
printf '%s\n' "$root/usr/bin/$python" "$root/$library"/lib-dynload/*.so | sed "s|^$root||" > /tmp/asking
find "$TARGET/usr/lib/$TRIPLET" -regex '.*/\(libgcc_s.so.1\|libstdc\+\+.so.6\|lib\(dl.so.2\|pthread.so.0\|rt.so.1\|util.so.1\)\)' -printf "/usr/lib/$TRIPLET/%f\n" > /tmp/expected
cat /tmp/asking /tmp/expected | xargs python3 /shared_libraries.py needed "$TARGET" | sort -u - /tmp/expected > /tmp/libraries
while read -r file; do install -D "$TARGET$file" "$root$file"; done < /tmp/libraries

# Names: the user 65532, and the order of host look-ups: /etc/hosts, then DNS (both are in glibc itself).
printf '%s\n' root:x:0:0:root:/:/sbin/nologin nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin > $root/etc/passwd
printf '%s\n' root:x:0: nonroot:x:65532: > $root/etc/group
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' > $root/etc/nsswitch.conf

# TLS: Debian's certificates, at OpenSSL's default paths. The builder has made the bundle of the same package.
[ "$(dpkg-query --show --showformat '${Version}' ca-certificates)" = "$(sed -n 's/^Version: //p' "$TARGET/var/lib/dpkg/info/ca-certificates/control")" ]
cp /etc/ssl/certs/ca-certificates.crt $root/etc/ssl/certs/
cp "$TARGET/etc/ssl/openssl.cnf" $root/etc/ssl/
ln -s /etc/ssl/certs/ca-certificates.crt $root/usr/lib/ssl/cert.pem
ln -s /etc/ssl/certs $root/usr/lib/ssl/certs
ln -s /etc/ssl/openssl.cnf $root/usr/lib/ssl/openssl.cnf

# Origin: the files that a scanner reads, and the licences.
cp -L "$TARGET/etc/os-release" "$TARGET/etc/debian_version" $root/etc/
python3 /debian_files.py record "$TARGET" $root ca-certificates

find $root -exec touch --no-dereference --date @0 {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM target AS packages
ARG SIDECAR
COPY locks/${SIDECAR}.txt /lock.txt
# Wheels only, each with a hash from the lock, of the target's platform: for any glibc up to the target's. Their sources,
# stubs, headers and tests do not run, and are deleted.
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false --mount=type=cache,target=/root/.cache/pip <<EOS
. /etc/target
site=/packages/usr/lib/python3/dist-packages
mkdir -p $site
if grep -q '==' /lock.txt; then
    [ ! -s /run/ca.pem ] || export PIP_CERT=/run/ca.pem
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    glibc=$(sed -n 's/^Version: 2\.\([0-9]*\).*/\1/p' "$TARGET/var/lib/dpkg/info/libc6/control")
    PIP_PLATFORM="$(seq "$glibc" -1 5 | sed "s/.*/manylinux_2_&_$MACHINE/") manylinux2014_$MACHINE"
    export PIP_PLATFORM
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
        --require-hashes --only-binary :all: --no-deps --no-compile --target $site --requirement /lock.txt \
        --python-version "$version" --implementation cp --abi "cp$(echo "$version" | tr -d .)" --abi abi3 --abi none
    rm -rf ${site:?}/bin
    find $site -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -r {} +
    find $site -type f \( -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.pyx' \) -delete
    find $site -name '*.so' -exec strip --strip-unneeded {} +
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /packages -p / $site
fi
find /packages -exec touch --no-dereference --date @0 {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM target AS compiled
ARG SIDECAR
COPY compile.py locks/compile.txt /source/
# The compilers, for a sidecar with packages to compile. No file of them gets into an image.
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false --mount=type=cache,target=/root/.cache/pip <<EOS
. /etc/target
if [ -n "$(python3 /source/compile.py --packages "$SIDECAR")" ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "gcc-$(echo "$TRIPLET" | tr _ -)" >/dev/null
    rm -rf /var/lib/apt/lists/*
    python3 /debian_files.py fetch "$TARGETARCH" "$TARGET" libc6-dev libpython3-dev
    [ ! -s /run/ca.pem ] || export PIP_CERT=/run/ca.pem
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --break-system-packages \
        --require-hashes --only-binary :all: --requirement /source/compile.txt
fi
EOS

COPY sidecars/__init__.py /source/sidecars/
COPY sidecars/chassis /source/sidecars/chassis
COPY sidecars/${SIDECAR} /source/sidecars/${SIDECAR}
# The compiler, its flags and the name of a module are the target's, by the variables that CPython's own cross builds use.
RUN <<EOS
. /etc/target
python=$(readlink "$TARGET/usr/bin/python3")
mkdir /sysconfig
cp "$TARGET/usr/lib/$python/_sysconfigdata__$TRIPLET.py" /sysconfig/
export CC="$TRIPLET-gcc --sysroot=$TARGET" LDSHARED="$TRIPLET-gcc --sysroot=$TARGET -shared"
export CFLAGS="-isystem $TARGET/usr/include/$python" PYTHONPATH=/sysconfig
export _PYTHON_HOST_PLATFORM="linux-$MACHINE" _PYTHON_SYSCONFIGDATA_NAME="_sysconfigdata__$TRIPLET"
python3 /source/compile.py /compiled
find /compiled -name '*.so' -exec strip --strip-unneeded {} +
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM builder AS code
ARG SIDECAR
COPY --from=compiled /compiled /code/usr/lib/python3/dist-packages
COPY tools/release/shared_libraries.py tools/release/sbom.py /
COPY LICENSE /code/usr/share/doc/sidecars/copyright
RUN <<EOS
. /etc/target
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

# A check of the three layers together, so that no image is built that lacks a file or holds one of unknown origin: every
# ELF file finds its libraries, and every file belongs to a package of the bill of materials, which is written here. Nothing
# of the layers is run, as they may be another machine's. tests/images imports every module and starts the programs.
RUN --mount=type=bind,from=runtime,source=/runtime,target=/layers/1 \
    --mount=type=bind,from=packages,source=/packages,target=/layers/2 <<EOS
mkdir /image
cp -a /layers/1/. /layers/2/. /code/. /image/
. /etc/target
python3 /shared_libraries.py check /image
bill=/code/var/lib/db/sbom
mkdir -p $bill
python3 /sbom.py /image "$SIDECAR" "$TARGETARCH" /code/usr/lib/python3/dist-packages/sidecars/chassis/__init__.py > "$bill/$SIDECAR.spdx.json"
find /code/var -exec touch --no-dereference --date @0 {} +
rm -rf /image
EOS

# ---------------------------------------------------------------------------------------------------------------------
FROM builder AS pause
COPY infra/pause.S sidecars/chassis/__init__.py tools/release/sbom.py /
RUN --mount=type=secret,id=ca,target=/run/ca.pem,required=false <<EOS
. /etc/target
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "gcc-$(echo "$TRIPLET" | tr _ -)" >/dev/null
mkdir -p /infra/var/lib/db/sbom
"$TRIPLET-gcc" -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-z,noseparate-code -o /infra/pause /pause.S
python3 /sbom.py /infra infra "$TARGETARCH" /__init__.py > /infra/var/lib/db/sbom/infra.spdx.json
find /infra -exec touch --no-dereference --date @0 {} +
EOS

FROM scratch AS infra
COPY --from=pause /infra /
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
