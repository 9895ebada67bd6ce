<%@ page contentType="text/plain; version=0.0.4; charset=utf-8" session="false" trimDirectiveWhitespaces="true"
    import="java.lang.management.ManagementFactory, javax.management.MBeanServer, javax.management.ObjectName" %>
<%
    /* What Tomcat counts anyway and publishes over JMX, in Prometheus' text format. */
    MBeanServer beans = ManagementFactory.getPlatformMBeanServer();
    long requests = 0, errors = 0, sent = 0;
    for (ObjectName name : beans.queryNames(new ObjectName("Catalina:type=GlobalRequestProcessor,*"), null)) {
        requests += ((Number) beans.getAttribute(name, "requestCount")).longValue();
        errors += ((Number) beans.getAttribute(name, "errorCount")).longValue();
        sent += ((Number) beans.getAttribute(name, "bytesSent")).longValue();
    }
    Runtime runtime = Runtime.getRuntime();
%>
# HELP tomcat_requests_total Requests answered by all connectors.
# TYPE tomcat_requests_total counter
tomcat_requests_total <%= requests %>
# HELP tomcat_errors_total Requests answered with an error by all connectors.
# TYPE tomcat_errors_total counter
tomcat_errors_total <%= errors %>
# HELP tomcat_sent_bytes_total Bytes of the bodies sent by all connectors.
# TYPE tomcat_sent_bytes_total counter
tomcat_sent_bytes_total <%= sent %>
# HELP jvm_heap_used_bytes Heap in use.
# TYPE jvm_heap_used_bytes gauge
jvm_heap_used_bytes <%= runtime.totalMemory() - runtime.freeMemory() %>
# HELP jvm_heap_max_bytes Heap that may be used.
# TYPE jvm_heap_max_bytes gauge
jvm_heap_max_bytes <%= runtime.maxMemory() %>
