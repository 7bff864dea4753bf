"""The words that fill the review templates; pairs are (positive, negative)."""

# Kind of noun -> nouns. A kind's adjectives are its own and those of "any".
NOUNS = {
    "en": {
        "food": "soup,rice,fish,dessert,coffee,chicken,noodle soup,salad,bread,beef,lunch,dinner,breakfast,meal,dish,"
                "food,pizza,tea,cake,duck",
        "people": "service,waiter,waitress,manager,owner,staff,cook,cashier,customer service,seller,team",
        "place": "restaurant,place,cafe,atmosphere,music,dining room,table,shop,bar,room",
        "thing": "phone,battery,screen,keyboard,jacket,bag,kettle,camera,lamp,chair,delivery,packaging,charger,mouse,"
                 "watch,umbrella,mattress,sound,cable,product,quality,item",
    },
    "zh": {
        "food": "菜,汤,米饭,面条,饺子,鱼,牛肉,甜点,咖啡,火锅,烤鸭,早餐,午饭,晚饭,蛋糕,点心,味道,口味,豆腐,茶",
        "people": "服务,服务员,老板,经理,店员,厨师,客服,态度,服务态度,卖家,收银员",
        "place": "餐厅,饭店,环境,氛围,店面,房间,包间,位置,小店,咖啡馆,餐馆",
        "thing": "手机,电池,屏幕,键盘,外套,包,水壶,相机,台灯,椅子,物流,包装,充电器,鼠标,手表,雨伞,床垫,音质,"
                 "质量,做工,产品,东西,耳机",
    },
}
ADJECTIVES = {
    "en": {
        "any": ("great,good,excellent,wonderful,fantastic,perfect,lovely,amazing,nice,superb,brilliant,outstanding,"
                "pleasant,impressive",
                "terrible,bad,awful,horrible,disappointing,poor,dreadful,lousy,unacceptable,pathetic,mediocre,"
                "unpleasant,atrocious,shameful"),
        "food": ("delicious,tasty,fresh,flavourful", "cold,bland,greasy,overcooked,stale,tasteless,disgusting"),
        "people": ("friendly,kind,helpful,polite,attentive,fast", "rude,slow,unfriendly,careless,impolite,lazy"),
        "place": ("cosy,clean,quiet,comfortable,charming", "dirty,noisy,crowded,uncomfortable,smelly"),
        "thing": ("reliable,comfortable,sturdy,beautiful,well made,fast",
                  "broken,flimsy,useless,slow,faulty,unreliable,overpriced"),
    },
    "zh": {
        "any": ("好,棒,不错,出色,优秀,完美,令人满意,让人惊喜,赞,理想",
                "差,糟糕,差劲,糟,烂,令人失望,让人失望,坑人,离谱,恶劣"),
        "food": ("好吃,美味,新鲜,可口,香,地道", "难吃,油腻,没味道,不新鲜,咸,难以下咽"),
        "people": ("热情,周到,亲切,耐心,细心,友好", "冷淡,粗鲁,敷衍,怠慢,没礼貌,不耐烦"),
        "place": ("干净,舒服,安静,温馨,宽敞,漂亮", "脏,吵,乱,拥挤,难闻,破旧"),
        "thing": ("好用,结实,精致,耐用,舒服,划算", "难用,粗糙,不耐用,不值,劣质,没用"),
    },
}
VERBS = {
    "en": ("loved,really enjoyed,recommend,was happy with,was impressed by,was delighted with",
           "hated,regret,cannot recommend,was unhappy with,was let down by,was disgusted by"),
    "zh": ("喜欢,推荐,满意,夸一夸,爱上了", "讨厌,后悔,吐槽,投诉,嫌弃"),
}
TO_DO = {
    "en": ("apologise,answer,help us,smile,say hello,say sorry,explain anything,refund us,listen,bring water,thank us,"
           "fix it,reply,serve us,care about guests",
           "shout at us,ignore us,lie to us,laugh at us,lose our order,charge us twice,walk away,argue,"
           "forget our drinks,cheat,complain,push us out"),
    "zh": ("道歉,回复,帮忙,理人,解释,退款,道谢,招呼客人,处理问题,认错,倒水,上菜,送水果,发货,打招呼,听客人的话,关心客人",
           "骂人,吼人,发脾气,乱收费,骗人,推卸责任,翻白眼,摔盘子,赶客人走,端错盘子,多收钱,吵架,爱理不理,发错货,偷工减料"),
}
DONE = {
    "en": ("apologised,answered,helped us,smiled,said hello,said sorry,explained everything,refunded us,listened,"
           "brought water,thanked us,fixed it,replied,served us,cared",
           "shouted at us,ignored us,lied to us,laughed at us,lost our order,charged us twice,walked away,argued,"
           "forgot our drinks,cheated us,complained,pushed us out"),
}
THINGS_DO = {
    "en": ("worked well,lasted,fitted well,charged fast,kept its shape,stayed warm,paid off,passed every test",
           "leaked,stopped working,cracked,overheated,failed,burnt out,jammed,rusted,lost its colour,crashed"),
    "zh": ("按时送到,派上用场,帮上忙,让人省心,用得顺手,对得起价钱",
           "坏,坏掉,漏水,裂开,死机,掉色,断,发霉,出问题,卡住,褪色,掉线"),
}
HOW_MUCH = {
    "en": ",,really ,very ,so ,absolutely ,truly ,quite ,extremely ",
    "zh": ",,很,非常,特别,真,实在,相当,挺,十分",
}
PEOPLE = {
    "en": "waiter,waitress,manager,owner,staff,cook,cashier,seller,team,man at the door,customer service,boss",
    "zh": "服务员,老板,经理,店员,厨师,客服,卖家,收银员,老板娘,店家,商家",
}
PLACES = {
    "en": "last week,on Sunday,with my family,near the station,for my birthday,in the city,yesterday,with two friends,"
          "at noon,this month,online",
    "zh": "上周,昨天,周末,和家人,朋友生日那天,车站附近,中午,第一次,这个月,在网上,公司旁边",
}
TIMES = {
    "en": "an hour,forty minutes,half an hour,three hours,ages,ten days,a week,the whole evening,two days,a month",
    "zh": "一个小时,三个小时,一个半小时,四十分钟,半个小时,三小时,五十分钟,三个钟头,"
          "半天,十天,一个星期,一晚上,两天,一个月,好久",
}
