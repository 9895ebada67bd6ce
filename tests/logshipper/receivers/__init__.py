"""Receivers that are exact about their protocols, written from the specifications."""
