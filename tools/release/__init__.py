"""What a release of the images needs beside their code. Each module reads files, and none runs what it reads.

    Debian's packages ──▶ debian_files: who owns which file ──┐
    wheels and code   ──▶ shared_libraries: none is missing ──┼──▶ the images ──▶ sbom: what an image is made of
    CHANGELOG.md      ──▶ notes: the text of a release        │
                          Dockerfile, which calls the first three

debian_files      the files of unpacked Debian packages, and dpkg's records for the scanners
shared_libraries  the libraries that ELF files of any machine need
sbom              the SPDX document of an image; read it first
notes             the release notes of a version
scan              known vulnerabilities of an image's Debian packages
publish           the images of all platforms in a registry, as one list a name; and their signatures

The Dockerfile copies the first three into its stages, so each of them imports the standard library alone.
"""
