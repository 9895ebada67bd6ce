<%@ page contentType="text/html; charset=utf-8" session="false" trimDirectiveWhitespaces="true"
    import="java.io.IOException, java.net.URI, java.net.URLEncoder, java.time.Duration,
            java.net.http.HttpClient, java.net.http.HttpRequest, java.net.http.HttpResponse,
            java.nio.charset.StandardCharsets" %>
<%!
    /* The app knows only this address of the backend, on its own localhost. The ambassador knows how many replicas there
       are, their addresses, and which of them are up. */
    private static final String BACKEND = "http://127.0.0.1:8500/offers/";

    private static final HttpClient CLIENT = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    private static HttpResponse<String> requestOffer(String id) throws IOException, InterruptedException {
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
    HttpResponse<String> offer = requestOffer(id == null ? "1" : id);
    response.setStatus(offer.statusCode());
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
  <pre><%= escape(offer.body()) %></pre>
</body>
</html>
