// SPDX-License-Identifier: GPL-2.0-or-later
// HotSpot's compilers at work: inlining undone by new classes, exceptions, threads and atomics.
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;

public class Mix {
    interface Shape { double area(int i); }
    static class A implements Shape { public double area(int i) { return i * 2; } }
    static class B implements Shape { public double area(int i) { return i * 0.5; } }
    static class C implements Shape { public double area(int i) { return Math.sqrt(i); } }

    static double shapes(Shape... s) {
        double sum = 0;
        for (int i = 0; i < 2_000_000; i++) sum += s[i % s.length].area(i & 1023);
        return sum;
    }

    static int exceptions() {
        int n = 0;
        int[] a = new int[10];
        for (int i = 0; i < 400_000; i++)
            try { n += a[i % 11] + i % 7 + 10 / (i % 13); }
            catch (ArrayIndexOutOfBoundsException e) { n += 3; }
            catch (ArithmeticException e) { n += 5; }
        return n;
    }

    static int nulls(String s) { try { return s.length(); } catch (NullPointerException e) { return -1; } }

    static long threads() throws Exception {
        AtomicLong sum = new AtomicLong();
        ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
        Object lock = new Object();
        int[] plain = new int[1];
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<?>> all = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
            int id = t;
            all.add(pool.submit(() -> {
                for (int i = 0; i < 30_000; i++) {
                    sum.addAndGet(i ^ id);
                    map.merge(i % 101, 1, Integer::sum);
                    synchronized (lock) { plain[0]++; }
                }
            }));
        }
        for (Future<?> f : all) f.get();
        pool.shutdown();
        return sum.get() * 31 + map.values().stream().mapToInt(x -> x).sum() + plain[0];
    }

    public static void main(String[] args) throws Exception {
        System.out.println("one " + shapes(new A()));
        System.out.println("two " + shapes(new A(), new B()));
        System.out.println("three " + shapes(new A(), new B(), new C()));
        System.out.println("exceptions " + exceptions());
        int n = 0;
        for (int i = 0; i < 300_000; i++) n += nulls(i % 1000 == 999 ? null : "abc");
        System.out.println("nulls " + n);
        System.out.println("threads " + threads());
        Random r = new Random(3);
        System.out.println("stream " + IntStream.range(0, 200_000).map(i -> r.nextInt(1000)).boxed()
            .collect(Collectors.groupingBy(i -> i % 17, TreeMap::new, Collectors.counting())));
        long h = 0;
        for (int i = 0; i < 200_000; i++) h = h * 31 + Long.toString(r.nextLong(), 36).hashCode();
        System.out.println("strings " + h);
        List<byte[]> keep = new ArrayList<>();
        for (int i = 0; i < 40_000; i++) { keep.add(new byte[1 + i % 5000]); if (i % 3 == 0) keep.set(i / 3, null); }
        System.out.println("heap " + keep.stream().filter(Objects::nonNull).mapToLong(b -> b.length).sum());
        System.out.println(new java.math.BigInteger("3").pow(20000).mod(java.math.BigInteger.TWO.pow(2203).subtract(java.math.BigInteger.ONE)).hashCode());
    }
}
