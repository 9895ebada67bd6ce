<%@ page contentType="text/html; charset=utf-8" session="false" trimDirectiveWhitespaces="true" %>
<%! /* A page with a defect: it answers 500, and its stack trace goes to Tomcat's log. */ %>
<%
    Integer.parseInt("this is no number");
%>
