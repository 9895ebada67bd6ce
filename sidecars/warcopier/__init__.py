"""Copies WARs from an image or any mount to where Tomcat serves them, so that Tomcat never sees half of one."""
