<%@ page contentType="text/html; charset=utf-8" session="false" trimDirectiveWhitespaces="true"
    import="java.io.IOException, java.net.URI, java.net.URLEncoder, java.time.Duration,
            java.net.http.HttpClient, java.net.http.HttpRequest, java.net.http.HttpResponse,
            java.nio.charset.StandardCharsets" %>
<%!
    /* All that the app knows of the backend: one address on its own localhost. How many replicas there are, where, and
       which of them is up, is the ambassador's business. */
    private static final String BACKEND = "http://127.0.0.1:8500/offers/";

    private static final HttpClient CLIENT = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    private static HttpResponse<String> ask(String id) throws IOException, InterruptedException {
        URI uri = URI.create(BACKEND + URLEncoder.encode(id, StandardCharsets.UTF_8));
        HttpRequest request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(10)).build();
        return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
%>
<%
    String id = request.getParameter("id");
    HttpResponse<String> answer = ask(id == null ? "1" : id);
    response.setStatus(answer.statusCode());
%>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>shop: an offer</title>
  <link rel="stylesheet" href="shop.css">
</head>
<body>
  <h1>an offer</h1>
  <p>The backend says:</p>
  <pre><%= escape(answer.body()) %></pre>
</body>
</html>
