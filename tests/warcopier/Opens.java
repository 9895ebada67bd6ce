import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.jar.*;
import java.util.zip.*;

/** Opens each archive whose path comes on a line of stdin as Tomcat does, lists it, and says how that went. */
public class Opens {
    public static void main(String[] arguments) throws IOException {
        BufferedReader paths = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String path; (path = paths.readLine()) != null; ) {
            System.out.println(verdict(path));
            System.out.flush();
        }
    }

    private static String verdict(String path) {
        try (JarFile jar = new JarFile(path)) {
            int count = 0;
            for (Enumeration<JarEntry> all = jar.entries(); all.hasMoreElements(); count++) {
                all.nextElement();
            }
            return "opened " + count;
        } catch (Exception error) {
            return "refused " + error.toString().replaceAll("[^ -~]", "?");
        }
    }
}
