import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.AbstractPartitionAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;

/**
 * Writes tests/vectors/assignors.jsonl: Assignors FILE. Groups whose members and topics change, and
 * what Kafka's own assignors make of each change. Members stand in the order of Java's hash table.
 */
public class Assignors {
    static final ObjectMapper JSON = new ObjectMapper();

    record Member(String id, String instance, List<String> topics, AbstractPartitionAssignor assignor,
                  List<TopicPartition> owned, int generation) {}

    public static void main(String[] arguments) throws Exception {
        Random random = new Random(20_261_121);
        try (PrintWriter out = new PrintWriter(arguments[0])) {
            for (String name : List.of("range", "roundrobin", "sticky", "cooperative-sticky"))
                for (int group = 0; group < (name.contains("sticky") ? 20 : 10); group++)
                    live(random, name, group % 2 == 0, out);
        }
    }

    /** One group over some generations. */
    static void live(Random random, String name, boolean equalWishes, PrintWriter out) throws Exception {
        Map<String, Integer> partitions = new TreeMap<>();
        for (int topic = 0; topic < 1 + random.nextInt(4); topic++)
            partitions.put("topic" + (char) ('a' + topic), 1 + random.nextInt(7));
        Map<String, Member> members = new HashMap<>();
        int next = 0;
        for (int generation = 1; generation <= 4; generation++) {
            int joining = generation == 1 ? 1 + random.nextInt(4) : random.nextInt(3);
            for (int index = 0; index < joining; index++, next++)
                join(random, name, equalWishes, partitions, members, "member-" + random.nextInt(1000) + "-" + next);
            if (generation > 1 && random.nextBoolean() && members.size() > 1)
                members.remove(new ArrayList<>(members.keySet()).get(random.nextInt(members.size())));
            if (generation == 3 && random.nextBoolean())
                partitions.merge("topica", 2, Integer::sum);
            divide(name, generation, partitions, members, out);
        }
    }

    static void join(Random random, String name, boolean equalWishes, Map<String, Integer> partitions,
                     Map<String, Member> members, String id) {
        List<String> topics = new ArrayList<>(partitions.keySet());
        if (!equalWishes) {
            Collections.shuffle(topics, random);
            topics = new ArrayList<>(topics.subList(0, 1 + random.nextInt(topics.size())));
            Collections.sort(topics);
        }
        String instance = random.nextInt(4) == 0 ? "instance-" + id : null;
        members.put(id, new Member(id, instance, topics, assignor(name), List.of(), -1));
    }

    static void divide(String name, int generation, Map<String, Integer> partitions,
                       Map<String, Member> members, PrintWriter out) throws Exception {
        ObjectNode line = JSON.createObjectNode().put("assignor", name);
        line.set("partitions", JSON.valueToTree(partitions));
        ArrayNode listed = line.putArray("members");
        Map<String, Subscription> subscriptions = new HashMap<>();
        for (Member member : members.values()) {
            boolean cooperative = name.startsWith("cooperative");
            Subscription asked = new Subscription(
                member.topics, member.assignor.subscriptionUserData(new HashSet<>(member.topics)),
                cooperative ? member.owned : List.of(), member.generation, Optional.empty());
            ByteBuffer bytes = ConsumerProtocol.serializeSubscription(asked);
            byte[] raw = new byte[bytes.remaining()];
            bytes.get(raw);
            Subscription heard = ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(raw));
            heard.setGroupInstanceId(Optional.ofNullable(member.instance));
            subscriptions.put(member.id, heard);
            listed.addObject().put("id", member.id).put("instance", member.instance)
                .put("subscription", HexFormat.of().formatHex(raw));
        }
        Map<String, Integer> wanted = new HashMap<>(partitions);
        wanted.keySet().removeIf(topic -> members.values().stream().noneMatch(m -> m.topics.contains(topic)));
        line.set("partitions", JSON.valueToTree(wanted));
        Map<String, List<TopicPartition>> shares = assignor(name).assign(wanted, subscriptions);
        ObjectNode told = line.putObject("shares");
        for (String id : new ArrayList<>(members.keySet())) {
            ArrayNode share = told.putArray(id);
            shares.get(id).stream().map(TopicPartition::toString).sorted().forEach(share::add);
            Member member = members.get(id);
            List<TopicPartition> given = List.copyOf(shares.get(id));
            member.assignor.onAssignment(new Assignment(given), new ConsumerGroupMetadata("g", generation, id, Optional.empty()));
            members.put(id, new Member(id, member.instance, member.topics, member.assignor, given, generation));
        }
        out.println(JSON.writeValueAsString(line));
    }

    static AbstractPartitionAssignor assignor(String name) {
        return switch (name) {
            case "range" -> new RangeAssignor();
            case "roundrobin" -> new RoundRobinAssignor();
            case "sticky" -> new StickyAssignor();
            default -> new CooperativeStickyAssignor();
        };
    }
}
