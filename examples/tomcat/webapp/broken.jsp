<%@ page contentType="text/html; charset=utf-8" session="false" trimDirectiveWhitespaces="true" %>
<%! /* A page with a defect: the response is 500, and Tomcat logs the stack trace. */ %>
<%
    Integer.parseInt("this is no number");
%>
