<%@ page contentType="text/plain; version=0.0.4; charset=utf-8" session="false" trimDirectiveWhitespaces="true"
    import="java.io.IOException, java.lang.management.ManagementFactory, java.util.concurrent.atomic.AtomicLong,
            javax.management.MBeanServer, javax.management.ObjectName" %>
<%!
    /* The counters that Tomcat publishes over JMX, of all deployed WARs, in the text format of Prometheus. */
    private static long total(String counter) throws Exception {
        MBeanServer beans = ManagementFactory.getPlatformMBeanServer();
        long sum = 0;
        for (ObjectName connector : beans.queryNames(new ObjectName("Catalina:type=GlobalRequestProcessor,*"), null)) {
            sum += ((Number) beans.getAttribute(connector, counter)).longValue();
        }
        return sum;
    }

    private static void write(JspWriter out, String type, String name, String help, long value) throws IOException {
        out.print("# HELP %2$s %3$s\n# TYPE %2$s %1$s\n%2$s %4$d\n".formatted(type, name, help, value));
    }

    /* Requests of this page itself. The total does not count them: probes would make the share of errors look small. */
    private static final AtomicLong OWN = new AtomicLong();
%>
<%
    Runtime runtime = Runtime.getRuntime();
    long own = OWN.getAndIncrement(); // Tomcat counts a request at its end, so this one not yet
    write(out, "counter", "tomcat_requests_total", "Requests answered, without those of this page.",
          Math.max(0, total("requestCount") - own));
    write(out, "counter", "tomcat_errors_total", "Requests answered with a status of 400 or above.", total("errorCount"));
    write(out, "counter", "tomcat_sent_bytes_total", "Bytes of the bodies sent.", total("bytesSent"));
    write(out, "gauge", "jvm_heap_used_bytes", "Heap in use.", runtime.totalMemory() - runtime.freeMemory());
    write(out, "gauge", "jvm_heap_max_bytes", "Heap that may be used.", runtime.maxMemory());
%>
