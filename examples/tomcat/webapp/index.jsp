<%@ page contentType="text/html; charset=utf-8" session="false" trimDirectiveWhitespaces="true" %>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>shop</title>
  <link rel="stylesheet" href="shop.css">
</head>
<body>
  <h1>shop</h1>
  <p>Served by <%= application.getServerInfo() %>, from a WAR that a sidecar put there.</p>
  <ul>
    <li><a href="offer?id=1">an offer</a>, asked of a backend through the ambassador</li>
    <li><a href="broken">a page with a defect</a>: its stack trace is one event in the log</li>
    <li><a href="/monitor/metrics">Tomcat's metrics</a>, which the adapter turns into <code>/health</code></li>
  </ul>
</body>
</html>
